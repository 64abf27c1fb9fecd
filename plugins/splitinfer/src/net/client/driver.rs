// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The client's thread: which server to try next, and when.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc;

use splitinfer_wire::{Hello, Token};

use super::backoff::Backoff;
use super::dial::{DialError, dial};
use super::link::{self, Ending};
use super::shared::{Inlet, Shared};
use super::{Client, ClientConfig, ClientEvent, ModelSource, OnEvent, StartError};
use crate::net::address::ServerAddress;
use crate::net::trust::Verified;

/// Resolver calls and reading the model; a resolver call that hangs must not hold up the next one.
const BLOCKING_THREADS: usize = 4;

pub struct Driver {
    pub shared: Arc<Shared>,
    pub hello: Hello,
    pub model: ModelSource,
    pub max_in_flight: u32,
    servers: Vec<ServerAddress>,
    trust: Verified,
    on_event: OnEvent,
}

pub fn start(config: ClientConfig, on_event: OnEvent) -> Result<Client, StartError> {
    let trust = config.trust.prepare()?;
    if config.servers.is_empty() {
        return Err(StartError::NoServer);
    }
    for server in &config.servers {
        if let Ok(address) = server.host.parse::<IpAddr>() {
            trust.allows(address).map_err(StartError::NotAllowed)?;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let (shared, inlet) = Shared::new(config.max_in_flight);
    let shared = Arc::new(shared);
    let mut hello = config.hello;
    hello.token = Token::new(config.trust.token.unwrap_or_default());
    let driver = Driver {
        shared: shared.clone(),
        hello,
        model: config.model,
        max_in_flight: u32::try_from(config.max_in_flight).unwrap_or(u32::MAX),
        servers: config.servers,
        trust,
        on_event,
    };
    let (ending, ended) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("splitinfer-net".to_owned())
        .spawn(move || {
            runtime.block_on(driver.run(inlet));
            // A resolver call that is still under way is not waited for.
            runtime.shutdown_background();
            drop(ending);
        })?;
    Ok(Client {
        shared,
        thread: Some(thread),
        ended: std::sync::Mutex::new(ended),
    })
}

/// What a round over the servers has come to.
enum Round {
    /// Nothing more can come of it.
    Over,
    /// A session was open and ended, or none opened.
    Again { opened: bool },
}

/// What is remembered of earlier attempts.
#[derive(Default)]
struct History {
    /// Servers that need a change of settings first.
    hopeless: HashSet<ServerAddress>,
    /// Once a session was open the settings are known to be good, so whatever is wrong is the server's, and may pass.
    connected_once: bool,
    /// So that a server that is down is reported once and not at each attempt.
    last_complaint: Option<String>,
}

impl Driver {
    async fn run(self, mut inlet: Inlet) {
        let mut backoff = Backoff::new();
        let mut history = History::default();
        loop {
            match self.round(&mut inlet, &mut history).await {
                Round::Over => return,
                Round::Again { opened: true } => backoff.reset(),
                Round::Again { opened: false } => {}
            }
            let mut closing = inlet.closing.clone();
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => return,
                () = tokio::time::sleep(backoff.wait()) => {}
            }
        }
    }

    /// Tries each server once, in order, until a session opens; returns after it has ended.
    async fn round(&self, inlet: &mut Inlet, history: &mut History) -> Round {
        for server in &self.servers {
            if history.hopeless.contains(server) {
                continue;
            }
            let mut closing = inlet.closing.clone();
            let dialled = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return Round::Over,
                dialled = dial(server, &self.trust) => dialled,
            };
            let ending = match dialled {
                Ok(dialled) => link::run(self, inlet, server, dialled).await,
                Err(e) => Ending::Failed(e),
            };
            match ending {
                Ending::Closing => return Round::Over,
                Ending::Lost(reason) => {
                    history.connected_once = true;
                    history.last_complaint = None;
                    self.emit(ClientEvent::Disconnected { reason });
                    return Round::Again { opened: true };
                }
                Ending::Failed(e) => {
                    if self.failed(server, e, history) {
                        return Round::Over;
                    }
                }
            }
        }
        Round::Again { opened: false }
    }

    /// Reports a failed attempt. True if there is nothing left to try.
    fn failed(&self, server: &ServerAddress, error: DialError, history: &mut History) -> bool {
        let DialError { text, fatal } = error;
        if fatal && !history.connected_once {
            history.hopeless.insert(server.clone());
            let fatal = self.servers.iter().all(|s| history.hopeless.contains(s));
            self.emit(ClientEvent::Refused { text, fatal });
            return fatal;
        }
        if history.last_complaint.as_ref() != Some(&text) {
            history.last_complaint = Some(text.clone());
            self.emit(ClientEvent::Refused { text, fatal: false });
        }
        false
    }

    pub fn emit(&self, event: ClientEvent) {
        if !self.shared.is_closing() {
            (self.on_event)(event);
        }
    }
}
