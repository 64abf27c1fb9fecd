// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What happens to a program whose ONNX Runtime is missing, wrong, or found. Each case is a process of its own,
//! because a process loads the library once.

use splitinfer_runtime::{RuntimeError, load_library};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Tells the test process that it is the child, and which case to play.
const CASE: &str = "SPLITINFER_LIBRARY_CASE";
const NEAR: &str = "SPLITINFER_LIBRARY_NEAR";

/// Not a test of its own: the children of the tests below end up here.
#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else {
        return;
    };
    let near = std::env::var_os(NEAR).map(PathBuf::from);
    let load = |near: Option<&Path>| match load_library(near) {
        Ok(library) => println!("found {} at {}", library.version, library.path.display()),
        Err(e) => println!("error: {e}"),
    };
    load(near.as_deref());
    if case == "late" {
        let folder = near.expect("a folder to put it in").join("onnxruntime");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(
            std::env::var("REAL").unwrap(),
            folder.join("libonnxruntime.so.1"),
        )
        .unwrap();
        load(folder.parent());
        load(None);
    }
    if case == "exit" {
        exit_while_running();
    }
}

/// Ends the process while a session runs in another thread and a third is kept in a static.
fn exit_while_running() -> ! {
    use splitinfer_graph::build::GraphBuilder;
    use splitinfer_runtime::{Session, SessionOptions};
    use splitinfer_tensor::{DType, Tensor};
    static KEPT: std::sync::OnceLock<Session> = std::sync::OnceLock::new();
    let model = GraphBuilder::new(17)
        .input("x", DType::F32, &[256, 256])
        .node("MatMul", &["x", "x"], &["y"], vec![])
        .output("y", DType::F32, &[256, 256])
        .model()
        .unwrap();
    let options = SessionOptions {
        threads: 2,
        ..SessionOptions::default()
    };
    let x = Tensor::new(vec![256, 256], vec![0.5f32; 256 * 256]).unwrap();
    KEPT.set(Session::from_model(&model, &options).unwrap())
        .unwrap();
    KEPT.get().unwrap().run(&[("x", &x)]).unwrap();
    let (started, running) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let session = Session::from_model(&model, &options).unwrap();
        // Until the end of the process, which says so; any other error is one too many.
        loop {
            match session.run(&[("x", &x)]) {
                Ok(_) => drop(started.send(())),
                Err(RuntimeError::ProcessEnding) => return,
                Err(e) => panic!("{e}"),
            }
        }
    });
    running.recv().unwrap();
    std::process::exit(0);
}

fn play(case: &str, configure: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--nocapture"])
        .env(CASE, case)
        .env_remove("ORT_DYLIB_PATH");
    configure(&mut command);
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ours = |l: &&str| l.contains("error: ") || l.contains("found ");
    text.lines().filter(ours).collect::<Vec<_>>().join("\n")
}

/// The library that this machine's tests use, if there is one.
fn real() -> Option<PathBuf> {
    match load_library(None) {
        Ok(library) => Some(library.path),
        Err(e) => {
            println!("skipped: {e}");
            None
        }
    }
}

#[test]
fn a_wrong_path_is_an_error_that_says_what_to_do() {
    let said = stdout(&play("wrong", |c| {
        c.env("ORT_DYLIB_PATH", "/does/not/exist/libonnxruntime.so");
    }));
    for part in [
        "ORT_DYLIB_PATH",
        "/does/not/exist/libonnxruntime.so",
        "apt install libonnxruntime1.21",
        "pipelines/setup.sh",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn another_library_or_no_library_at_all_is_told_apart() {
    let said = stdout(&play("libc", |c| {
        c.env("ORT_DYLIB_PATH", "libc.so.6");
    }));
    assert!(said.contains("not ONNX Runtime"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    std::fs::write(&text, "no library").unwrap();
    let said = stdout(&play("text", |c| {
        c.env("ORT_DYLIB_PATH", &text);
    }));
    assert!(
        said.contains("cannot be used") && said.contains("file too short"),
        "{said}"
    );

    std::fs::remove_file(&text).unwrap();
    let said = stdout(&play("folder", |c| {
        c.env("ORT_DYLIB_PATH", folder.path());
    }));
    assert!(said.contains("folder without"), "{said}");
}

#[test]
fn without_any_library_the_error_lists_where_it_was_sought() {
    let near = tempfile::tempdir().unwrap();
    let said = stdout(&play("missing", |c| {
        c.env(NEAR, near.path());
    }));
    if said.starts_with("found") {
        println!("skipped: this system has its own ONNX Runtime: {said}");
        return;
    }
    let beside = near.path().join("onnxruntime");
    assert!(
        said.contains("was not found") && said.contains(beside.to_str().unwrap()),
        "{said}"
    );
}

#[test]
fn the_library_beside_the_program_is_found_even_after_a_first_failure() {
    let Some(real) = real() else { return };
    let near = tempfile::tempdir().unwrap();
    let said = stdout(&play("late", |c| {
        c.env(NEAR, near.path()).env("REAL", &real);
    }));
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[1].starts_with("found 1."), "{said:?}");
    assert_eq!(said[1], said[2], "later calls return what the first found");
}

#[test]
fn a_folder_in_the_environment_variable_will_do() {
    let Some(real) = real() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&real, folder.path().join("libonnxruntime.so.1.99")).unwrap();
    let said = stdout(&play("folder", |c| {
        c.env("ORT_DYLIB_PATH", folder.path());
    }));
    assert!(said.contains("found 1."), "{said}");
}

#[test]
fn the_system_library_is_found_by_a_versioned_name() {
    let Some(real) = real() else { return };
    let folder = tempfile::tempdir().unwrap();
    // As Debian names it; there is no plain `libonnxruntime.so` without the development package.
    std::os::unix::fs::symlink(&real, folder.path().join("libonnxruntime.so.1.21")).unwrap();
    let said = stdout(&play("system", |c| {
        c.env("LD_LIBRARY_PATH", folder.path());
    }));
    assert!(said.contains("found 1."), "{said}");
}

#[test]
fn a_process_may_end_while_sessions_run() {
    let Some(real) = real() else { return };
    for _ in 0..10 {
        let output = play("exit", |c| {
            c.env("ORT_DYLIB_PATH", &real);
        });
        assert!(output.status.success(), "{}", output.status);
        let noise = String::from_utf8_lossy(&output.stderr);
        assert!(noise.is_empty(), "{noise}");
    }
}
