// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a listener asks of whoever has the models, and what it tells them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use splitinfer_wire::{FrameHeader, Hello, Load, RefuseCode, WeightsCode, WeightsEvent};
use tokio::sync::mpsc::UnboundedSender;

use super::{ClientId, Forecast};

/// An edge with a session, or on the way to one.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    pub id: ClientId,
    pub peer: SocketAddr,
    /// What it calls itself.
    pub agent: String,
}

/// No session, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefuseCode,
    /// For humans.
    pub text: String,
}

/// No new weights, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsRefusal {
    pub code: WeightsCode,
    /// For humans.
    pub text: String,
}

/// An update for a client, at so many bytes a second at most (0: as many as go).
#[derive(Debug)]
pub struct Update {
    pub version: u64,
    pub bytes: Bytes,
    pub rate: u64,
}

/// What a client is sent besides answers.
#[derive(Debug)]
pub enum Errand {
    /// In place of one under way.
    Update(Update),
    /// The picture of every n-th frame is wanted, 0: of none.
    RequestPictures(u32),
}

/// The way to one client.
#[derive(Clone, Debug)]
pub struct Outbox(pub(super) UnboundedSender<Errand>);

impl Outbox {
    /// False when the session has ended.
    pub fn send(&self, errand: Errand) -> bool {
        self.0.send(errand).is_ok()
    }
}

/// What became of a frame, as its edge tells it. Nobody has looked at it yet.
#[derive(Clone, Debug)]
pub struct Report {
    pub frame: u64,
    /// Should be a JSON object.
    pub result: Bytes,
    /// Should be a JPEG; empty for none.
    pub picture: Bytes,
}

/// What the service says about a `Hello`.
pub enum Decision {
    /// [`Service::open`] will do.
    Open,
    /// The model must be uploaded first.
    Upload,
    Refuse(Refusal),
}

/// Whoever has the models.
pub trait Service: Send + Sync + 'static {
    /// What frames need to be computed: the prepared model.
    type Session: Send + Sync + 'static;

    /// On the network thread: must not wait.
    fn decide(&self, hello: &Hello) -> Decision;

    /// Prepares the session; on a thread that may take its time. `model` is what was uploaded, if it was.
    ///
    /// # Errors
    /// When there can be no session.
    fn open(
        &self,
        client: &ClientInfo,
        hello: &Hello,
        model: Option<Bytes>,
    ) -> Result<Arc<Self::Session>, Refusal>;

    /// The session is open and frames may come; on the network thread. `outbox` reaches the client for as long as the
    /// session is open.
    fn opened(&self, client: &ClientInfo, session: &Arc<Self::Session>, outbox: Outbox);

    /// An open session has ended; on the network thread.
    fn closed(&self, client: &ClientInfo, reason: &str);

    /// All of a frame has come, which is no report; on the network thread.
    ///
    /// # Errors
    /// When it is better refused: how long it would have to wait.
    fn admit(
        &self,
        client: ClientId,
        session: &Self::Session,
        header: &FrameHeader,
    ) -> Result<Forecast, Duration>;

    /// A frame, or a report of one, has begun to come; on the network thread.
    fn frame_begun(&self, session: &Self::Session, number: u64);

    /// The frame is answered or given up: exactly once for each that has begun; on the network thread.
    fn frame_ended(&self, session: &Self::Session, number: u64);

    /// An edge tells what became of a frame; between the begin and the end of the report, on the network thread.
    fn reported(&self, session: &Self::Session, report: Report);

    /// Prepares the session's model for frames with the weights of an update; on a thread that may take its time, one at
    /// a time for each session.
    ///
    /// # Errors
    /// When the update is not taken.
    fn take_weights(
        &self,
        session: &Arc<Self::Session>,
        version: u64,
        update: &Bytes,
    ) -> Result<(), WeightsRefusal>;

    /// No frame of a version below this one will come any more; on the network thread.
    fn retire_weights(&self, session: &Self::Session, below: u64);

    /// What became of an update that was sent through the [`Outbox`]; on the network thread.
    fn weights_answered(&self, client: &ClientInfo, session: &Self::Session, event: &WeightsEvent);

    /// How busy the server is, as this session sees it; on the network thread.
    fn load(&self, session: &Self::Session) -> Load;

    /// Something that a log should tell.
    fn note(&self, text: &str);
}
