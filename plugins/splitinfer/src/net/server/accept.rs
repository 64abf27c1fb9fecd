// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Who may connect, and how many at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use quinn::{Endpoint, Incoming, VarInt};
use splitinfer_wire::close::connection_code;
use tokio::task::LocalSet;

use super::client;
use super::{Common, Service};

/// Until the TLS handshake is done; the session has its own limits for what follows.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// Connections of one address, and of all, that have no session yet. They are few and short-lived, so that whoever
/// opens many and says nothing takes no place from the others.
const MOST_NEW_FROM_ONE: usize = 8;
const MOST_NEW: usize = 64;

/// With more than this many on the way, a client must show that it is where it says it is before it gets any state.
const RETRY_FROM: usize = 8;

/// For the good-byes, once the listener is being closed.
const FAREWELL: Duration = Duration::from_millis(400);

/// Connections without a session, by address.
#[derive(Default)]
struct Newcomers(RefCell<HashMap<IpAddr, usize>>);

impl Newcomers {
    fn count(&self) -> usize {
        self.0.borrow().values().sum()
    }

    fn enter(self: &Rc<Self>, address: IpAddr) -> Option<Newcomer> {
        let all = self.count();
        let mut counts = self.0.borrow_mut();
        let of_one = counts.entry(address).or_default();
        if all >= MOST_NEW || *of_one >= MOST_NEW_FROM_ONE {
            if *of_one == 0 {
                counts.remove(&address);
            }
            return None;
        }
        *of_one += 1;
        Some(Newcomer {
            address,
            all: self.clone(),
        })
    }
}

/// A place among the connections without a session, given back when dropped.
pub struct Newcomer {
    address: IpAddr,
    all: Rc<Newcomers>,
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let mut counts = self.all.0.borrow_mut();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Takes connections until the listener is closed.
pub async fn run<S: Service>(endpoint: Endpoint, common: Common<S>) {
    let common = Rc::new(common);
    let newcomers = Rc::new(Newcomers::default());
    let tasks = LocalSet::new();
    let mut closing = common.closing.clone();
    let accept = async {
        let mut next_id = 1;
        while let Some(incoming) = endpoint.accept().await {
            if newcomers.count() >= RETRY_FROM
                && !incoming.remote_address_validated()
                && incoming.may_retry()
            {
                // An error means that it was validated after all.
                let _ = incoming.retry();
                continue;
            }
            let Some(place) = newcomers.enter(incoming.remote_address().ip()) else {
                incoming.refuse();
                continue;
            };
            tokio::task::spawn_local(take(common.clone(), incoming, next_id, place));
            next_id += 1;
        }
    };
    let monitor = async {
        match &common.monitor {
            Some(monitor) => monitor.run(&common.service).await,
            None => std::future::pending().await,
        }
    };
    tasks
        .run_until(async {
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => {}
                () = accept => {}
                () = monitor => {}
            }
        })
        .await;
    // The clients' tasks see for themselves that the listener is being closed.
    let _ = tokio::time::timeout(FAREWELL, tasks).await;
    endpoint.close(VarInt::from_u32(connection_code::DONE), b"");
    let _ = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
}

async fn take<S: Service>(common: Rc<Common<S>>, incoming: Incoming, id: u64, place: Newcomer) {
    let peer = incoming.remote_address();
    let Ok(connecting) = incoming.accept() else {
        return;
    };
    match tokio::time::timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => client::serve(common, connection, id, place).await,
        Ok(Err(e)) => common
            .service
            .note(&format!("handshake with {peer} failed: {e}")),
        Err(_) => common
            .service
            .note(&format!("{peer} did not finish its handshake")),
    }
}
