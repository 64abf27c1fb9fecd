// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Updates of the weights on their way between the two sides of a session, the same for both: one in each direction at
//! most, in pieces, no faster than the sender wants.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::limits::{WEIGHTS_CHUNK_BYTES, WEIGHTS_EXTRA_BYTES, WEIGHTS_WINDOW_BYTES};
use crate::message::{Message, WeightsCode, WeightsData, WeightsOffer, WeightsRefuse};

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightsEvent {
    /// The peer's update has arrived with the announced hash: answer with `weights_ready` or `refuse_weights`.
    Received { version: u64, update: Bytes },
    /// The peer has taken the update: frames may use this version.
    Ready { version: u64 },
    /// The peer has not taken the update.
    Refused(WeightsRefuse),
    /// The peer has not answered in time. Nothing is known of what it did with the update.
    Unanswered { version: u64 },
}

/// What a message from the peer gives rise to.
#[derive(Debug, Default)]
pub(crate) struct Reaction {
    pub answer: Option<Message>,
    pub event: Option<WeightsEvent>,
}

/// An update to the peer.
#[derive(Debug)]
struct Outgoing {
    version: u64,
    update: Bytes,
    /// `None` until the peer asks for the first piece.
    sent: Option<u64>,
    acknowledged: u64,
    /// Bytes a second; 0: as fast as the window allows.
    rate: u64,
    next: Instant,
    /// When the peer has been silent about it for too long.
    patience: Instant,
}

/// An update from the peer; grows with what has arrived, never with what was announced.
#[derive(Debug)]
struct Incoming {
    offer: WeightsOffer,
    digest: Sha256,
    bytes: BytesMut,
}

/// Both directions of one session.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    outgoing: Option<Outgoing>,
    incoming: Option<Incoming>,
    /// What was last sent, with its hash: offered back by the peer, it need not come over the network.
    last_sent: Option<([u8; 32], Bytes)>,
}

impl Weights {
    /// Begins to send an update, in place of one that is on its way.
    pub fn offer(
        &mut self,
        now: Instant,
        version: u64,
        update: Bytes,
        rate: u64,
        patience: Duration,
    ) -> Message {
        let hash = Sha256::digest(&update).into();
        let offer = WeightsOffer {
            version,
            size: update.len() as u64,
            hash,
        };
        self.last_sent = Some((hash, update.clone()));
        self.outgoing = Some(Outgoing {
            version,
            update,
            sent: None,
            acknowledged: 0,
            rate,
            next: now,
            patience: now + patience,
        });
        Message::WeightsOffer(offer)
    }

    /// A piece that is due. Ask until there is none.
    pub fn next_piece(&mut self, now: Instant) -> Option<Message> {
        let out = self.outgoing.as_mut()?;
        if !out.may_send() || out.next > now {
            return None;
        }
        let sent = out.sent?;
        let from = sent as usize;
        let to = out.update.len().min(from + WEIGHTS_CHUNK_BYTES);
        out.sent = Some(to as u64);
        if out.rate > 0 {
            let takes = Duration::from_secs_f64((to - from) as f64 / out.rate as f64);
            // Time that was missed is not made up for: the network gets no burst.
            out.next = now + takes;
        }
        Some(Message::WeightsData(WeightsData {
            version: out.version,
            offset: sent,
            chunk: out.update.slice(from..to),
        }))
    }

    /// When the next piece is due, or the peer has been silent for too long.
    pub fn next_time(&self) -> Option<Instant> {
        let out = self.outgoing.as_ref()?;
        Some(match out.may_send() {
            true => out.next.min(out.patience),
            false => out.patience,
        })
    }

    /// Gives an update up that the peer does not answer.
    pub fn give_up(&mut self, now: Instant) -> Option<WeightsEvent> {
        let out = self.outgoing.take_if(|out| out.patience <= now)?;
        let version = out.version;
        Some(WeightsEvent::Unanswered { version })
    }

    /// What the peer says about weights. `limit`: the largest update that is taken.
    ///
    /// # Errors
    /// A sentence about a peer that does not keep to the protocol.
    pub fn handle(
        &mut self,
        now: Instant,
        message: Message,
        limit: u64,
        patience: Duration,
    ) -> Result<Reaction, String> {
        Ok(match message {
            Message::WeightsOffer(offer) => self.offered(offer, limit),
            Message::WeightsData(data) => self.arrived(&data)?,
            Message::WeightsAck { version, received } => {
                self.acknowledged(now, version, received, patience)?;
                Reaction::default()
            }
            Message::WeightsReady { version } => {
                self.answered(version, || WeightsEvent::Ready { version })
            }
            Message::WeightsRefuse(refuse) => {
                self.answered(refuse.version, || WeightsEvent::Refused(refuse.clone()))
            }
            _ => Reaction::default(),
        })
    }

    fn offered(&mut self, offer: WeightsOffer, limit: u64) -> Reaction {
        let WeightsOffer { version, size, .. } = offer;
        self.incoming = None;
        if let Some((hash, update)) = &self.last_sent
            && *hash == offer.hash
        {
            return Reaction {
                answer: Some(Message::WeightsAck {
                    version,
                    received: size,
                }),
                event: Some(WeightsEvent::Received {
                    version,
                    update: update.clone(),
                }),
            };
        }
        if size == 0 || size > limit {
            let (code, text) = match size {
                0 => (WeightsCode::Damaged, "the update is empty".to_owned()),
                _ => (
                    WeightsCode::TooLarge,
                    format!("the update has {size} bytes, {limit} are taken for this model"),
                ),
            };
            let refuse = WeightsRefuse {
                version,
                code,
                text,
            };
            return Reaction::answer(Message::WeightsRefuse(refuse));
        }
        self.incoming = Some(Incoming {
            offer,
            digest: Sha256::new(),
            bytes: BytesMut::new(),
        });
        Reaction::answer(Message::WeightsAck {
            version,
            received: 0,
        })
    }

    fn arrived(&mut self, data: &WeightsData) -> Result<Reaction, String> {
        let version = data.version;
        let Some(incoming) = &mut self.incoming else {
            return Err(format!(
                "WeightsData of version {version}, which was not asked for"
            ));
        };
        let (due, here) = (incoming.offer.version, incoming.bytes.len() as u64);
        if version != due || data.offset != here || data.chunk.is_empty() {
            return Err(format!(
                "WeightsData of {} bytes at {} of version {version} where byte {here} of version {due} was due",
                data.chunk.len(),
                data.offset
            ));
        }
        let received = here + data.chunk.len() as u64;
        if received > incoming.offer.size {
            return Err(format!(
                "WeightsData beyond the announced {} bytes",
                incoming.offer.size
            ));
        }
        incoming.digest.update(&data.chunk);
        incoming.bytes.extend_from_slice(&data.chunk);
        if received < incoming.offer.size {
            return Ok(Reaction::answer(Message::WeightsAck { version, received }));
        }
        Ok(self.complete(received))
    }

    fn complete(&mut self, received: u64) -> Reaction {
        let Some(Incoming {
            offer,
            digest,
            bytes,
        }) = self.incoming.take()
        else {
            return Reaction::default();
        };
        let version = offer.version;
        if digest.finalize().as_slice() != offer.hash {
            return Reaction::answer(Message::WeightsRefuse(WeightsRefuse {
                version,
                code: WeightsCode::Damaged,
                text: "the update does not have the announced SHA-256".into(),
            }));
        }
        Reaction {
            answer: Some(Message::WeightsAck { version, received }),
            event: Some(WeightsEvent::Received {
                version,
                update: bytes.freeze(),
            }),
        }
    }

    /// An answer to an offer that another one has replaced means nothing.
    fn acknowledged(
        &mut self,
        now: Instant,
        version: u64,
        received: u64,
        patience: Duration,
    ) -> Result<(), String> {
        let Some(out) = self.outgoing.as_mut().filter(|o| o.version == version) else {
            return Ok(());
        };
        let all = out.update.len() as u64;
        let plausible = match out.sent {
            None => received == 0 || received == all,
            Some(sent) => (out.acknowledged..=sent).contains(&received),
        };
        if !plausible {
            return Err(format!("WeightsAck of {received} bytes, never sent"));
        }
        out.sent = Some(out.sent.unwrap_or(received));
        out.acknowledged = received;
        out.patience = now + patience;
        Ok(())
    }

    fn answered(&mut self, version: u64, event: impl FnOnce() -> WeightsEvent) -> Reaction {
        let this = self.outgoing.take_if(|out| out.version == version);
        Reaction {
            answer: None,
            event: this.map(|_| event()),
        }
    }
}

impl Reaction {
    fn answer(message: Message) -> Self {
        Self {
            answer: Some(message),
            event: None,
        }
    }
}

impl Outgoing {
    fn may_send(&self) -> bool {
        let left = |sent| sent < self.update.len() as u64;
        let room = |sent: u64| sent - self.acknowledged < WEIGHTS_WINDOW_BYTES;
        self.sent.is_some_and(|sent| left(sent) && room(sent))
    }
}

/// The largest update that is taken for a model of so many bytes.
pub(crate) fn limit(model_size: u64) -> u64 {
    model_size
        .saturating_mul(2)
        .saturating_add(WEIGHTS_EXTRA_BYTES)
}
