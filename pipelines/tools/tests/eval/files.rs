// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Results from files.

use crate::common::{Folder, assert_one_line, eval, number, report};

#[test]
fn every_form_of_truth_gives_the_same_figures() {
    let folder = Folder::new();
    let results = folder.results();
    for truth in [folder.scene(), folder.mot(), folder.coco()] {
        let (table, json) = report(&[&results, "--truth", &truth], folder.0.path());
        assert!(table.contains(" results | 3 | 3 |"), "{table}");
        let run = &json["runs"][0];
        // Two of three found, at precision 1: 67 of the 101 recalls.
        assert!((number(run, "/detection/ap50") - 67.0 / 101.0).abs() < 1e-12);
        // Numbers found: 1, 2, 0 of 1.
        assert!((number(run, "/detection/boxes/count_error") - 2.0 / 3.0).abs() < 1e-12);
        // Pairs 4·2/4 and 0 pixels off, a false one and a missed one at 100: four places.
        assert!((number(run, "/detection/boxes/mae") - 202.0 / 4.0).abs() < 1e-12);
        assert!((number(run, "/detection/boxes/mae_of_pairs") - 1.0).abs() < 1e-12);
        assert_eq!(number(run, "/tracking/objects"), 3.0);
        assert!((number(run, "/tracking/mota") - (1.0 - 2.0 / 3.0)).abs() < 1e-12);
        assert!((number(run, "/tracking/idf1") - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!(run["moments"].as_array().unwrap().len(), 3);
        assert_eq!(number(run, "/moments/2/box_mae"), 100.0);
        assert!(run["pose"].is_null());
    }
}

#[test]
fn domains_that_the_truth_knows_get_a_row_each() {
    let folder = Folder::new();
    let results = folder.results();
    let truth = std::fs::read_to_string(folder.scene()).unwrap();
    let truth = folder.file("two.jsonl", &truth.replacen("\"day\"", "\"night\"", 1));
    let (table, json) = report(&[&results, "--truth", &truth], folder.0.path());
    let rows: Vec<(&str, f64)> = json["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["domain"].as_str().unwrap(), number(run, "/frames")))
        .collect();
    assert_eq!(rows, [("day", 2.0), ("night", 1.0)], "{table}");
}

#[test]
fn the_operating_point_and_what_is_ignored_can_be_chosen() {
    let folder = Folder::new();
    let (results, truth) = (folder.results(), folder.scene());
    let base = [results.as_str(), "--truth", &truth];
    let figure = |more: &[&str], path: &str| {
        let (_, json) = report(&[&base[..], more].concat(), folder.0.path());
        number(&json["runs"][0], path)
    };
    assert_eq!(
        figure(&["--score", "0.5"], "/detection/boxes/false_alarms"),
        0.0
    );
    assert_eq!(figure(&["--score", "0.75"], "/detection/boxes/missed"), 2.0);
    assert_eq!(
        figure(&["--cutoff", "10"], "/detection/boxes/mae"),
        22.0 / 4.0
    );
    // All cars are 20 pixels high: nothing is asked for, and finding them is no mistake; the false alarm is small, too.
    assert_eq!(
        figure(&["--min-size", "21"], "/detection/boxes/count_error"),
        0.0
    );
    assert_eq!(
        figure(&["--map", "car=van"], "/detection/classes/van/objects"),
        3.0
    );
}

#[test]
fn several_files_stand_in_one_table_and_in_one_picture() {
    let folder = Folder::new();
    let (results, truth) = (folder.results(), folder.mot());
    let plots = folder.0.path().join("plots");
    let arguments = [
        &results,
        &results,
        "--truth",
        &truth,
        "--name",
        "left",
        "--name",
        "right",
        "--plots",
        plots.to_str().unwrap(),
    ];
    let (table, json) = report(&arguments, folder.0.path());
    assert!(
        table.contains("| left |") && table.contains("| right |"),
        "{table}"
    );
    assert_eq!(json["runs"].as_array().unwrap().len(), 2);
    for name in ["precision-recall", "box-error"] {
        let svg = std::fs::read_to_string(plots.join(format!("{name}.svg"))).unwrap();
        assert!(svg.contains("left") && svg.contains("right"), "{name}");
        let png = std::fs::read(plots.join(format!("{name}.png"))).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 2_000, "{name}");
    }
    assert!(!plots.join("pck.svg").exists(), "there is no pose here");
}

#[test]
fn files_that_cannot_be_used_are_named_in_one_line() {
    let folder = Folder::new();
    let (results, truth) = (folder.results(), folder.scene());
    let missing = "/does/not/exist.jsonl";
    assert_one_line(&[missing, "--truth", &truth], &[missing, "No such file"]);
    assert_one_line(&[&results, "--truth", missing], &[missing, "No such file"]);
    assert_one_line(
        &[&truth, "--truth", &truth],
        &["truth.jsonl:1", "not a result"],
    );
    assert_one_line(
        &[&results, "--truth", &results],
        &["results.jsonl", "line 1"],
    );
    let cut = folder.file(
        "cut.jsonl",
        "{\"frame\":0,\"pts\":null,\"completed\":\"edge\",\"objects\":[]}\n{\"fra",
    );
    assert_one_line(&[&cut, "--truth", &truth], &["cut.jsonl:2", "not a result"]);
    let later = folder.file("later.txt", "1000,1,10,10,40,20,1,3,1\n");
    assert_one_line(
        &[&results, "--truth", &later],
        &["later.txt", "0 to 2", "999"],
    );
    let broken = folder.file(
        "broken.json",
        "{\"images\":[],\"annotations\":[{}],\"categories\":[]}",
    );
    assert_one_line(
        &[&results, "--truth", &broken],
        &["broken.json", "COCO", "image_id"],
    );
    let people = folder.file("people.txt", "1,1,10,10,40,20,1,1,1\n");
    assert_one_line(
        &[&results, "--truth", &people],
        &[
            "no label in common",
            "results have car",
            "truth has person",
            "--class-agnostic",
        ],
    );
    assert!(
        eval(&[&results, "--truth", &people, "--class-agnostic"])
            .status
            .success()
    );
    let nowhere = "/does/not/exist/report.json";
    assert_one_line(
        &[&results, "--truth", &truth, "--json", nowhere],
        &[nowhere],
    );
    let plots = folder.file("a-file", "");
    assert_one_line(&[&results, "--truth", &truth, "--plots", &plots], &[&plots]);
}
