// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights of one client: its updates prepared one after the other, and the server's own on their way to it.

use std::sync::Arc;

use bytes::Bytes;
use splitinfer_wire::{ServerSession, WeightsCode};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use super::{Common, Errand, Outbox, Service, Update, WeightsRefusal};

/// A version, and whether frames may use it.
pub type Prepared = (u64, Result<(), WeightsRefusal>);

/// Of one client.
#[derive(Default)]
pub struct Weights {
    preparing: Option<(u64, oneshot::Receiver<Result<(), WeightsRefusal>>)>,
    /// The next to prepare; a newer one replaces it.
    next: Option<(u64, Bytes)>,
    errands: Option<UnboundedReceiver<Errand>>,
    /// An update of the server's own that the client has not answered yet.
    sending: bool,
    /// The next to send; a newer one replaces it. One that is on its way is not given up for it: where updates come faster
    /// than they pass, none would ever arrive.
    waiting: Option<Update>,
}

/// What there is to do.
pub enum Due {
    Prepared(Prepared),
    Send(Errand),
}

impl Weights {
    /// The session is open.
    pub fn outbox(&mut self) -> Outbox {
        let (sender, receiver) = unbounded_channel();
        self.errands = Some(receiver);
        Outbox(sender)
    }

    /// Takes an update of the client. At once if none is being prepared, else after that.
    pub fn take<S: Service>(
        &mut self,
        common: &Common<S>,
        session: Option<Arc<S::Session>>,
        version: u64,
        update: Bytes,
    ) {
        let Some(session) = session else { return };
        if self.preparing.is_some() {
            self.next = Some((version, update));
            return;
        }
        let (service, places) = (common.service.clone(), common.preparing.clone());
        let (done, preparing) = oneshot::channel();
        tokio::task::spawn_local(async move {
            let Ok(place) = places.acquire_owned().await else {
                return;
            };
            tokio::task::spawn_blocking(move || {
                let _place = place;
                // The client may be gone before this begins.
                if !done.is_closed() {
                    let _ = done.send(service.take_weights(&session, version, &update));
                }
            });
        });
        self.preparing = Some((version, preparing));
    }

    /// The update if it may be sent now; else it waits.
    pub fn send(&mut self, update: Update) -> Option<Update> {
        if self.sending {
            self.waiting = Some(update);
            return None;
        }
        self.sending = true;
        Some(update)
    }

    /// The one that was sent has been answered, or never will be; what is to be sent next.
    pub fn answered(&mut self) -> Option<Update> {
        self.sending = self.waiting.is_some();
        self.waiting.take()
    }

    /// What was to be prepared after the one that is done.
    pub fn next(&mut self) -> Option<(u64, Bytes)> {
        self.next.take()
    }

    /// Waits for the next thing to do.
    pub async fn due(&mut self) -> Due {
        let Self {
            preparing, errands, ..
        } = self;
        tokio::select! {
            prepared = prepared(preparing) => Due::Prepared(prepared),
            errand = errand(errands) => Due::Send(errand),
        }
    }
}

/// Tells the client.
pub fn answer(wire: &mut ServerSession, (version, prepared): Prepared) {
    match prepared {
        Ok(()) => wire.weights_ready(version),
        Err(WeightsRefusal { code, text }) => wire.refuse_weights(version, code, &text),
    }
}

async fn prepared(
    preparing: &mut Option<(u64, oneshot::Receiver<Result<(), WeightsRefusal>>)>,
) -> Prepared {
    let Some((version, running)) = preparing else {
        return std::future::pending().await;
    };
    let (version, result) = (*version, running.await);
    *preparing = None;
    let failed = WeightsRefusal {
        code: WeightsCode::Internal,
        text: "preparing the weights failed; the server's log may say more".to_owned(),
    };
    (version, result.unwrap_or(Err(failed)))
}

async fn errand(errands: &mut Option<UnboundedReceiver<Errand>>) -> Errand {
    let received = match errands {
        Some(errands) => errands.recv().await,
        None => None,
    };
    match received {
        Some(errand) => errand,
        None => std::future::pending().await,
    }
}
