// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The GObject.

use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use splitinfer_meta::WeightsUpdate;

use super::CAT;
use super::pads;
use super::running::{Loaded, Running};
use super::service::Served;
use super::settings::{Settings, properties};
use super::weights;
use crate::net::server::Errand;

#[derive(Default)]
pub struct Server {
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    loaded: Option<Loaded>,
    running: Option<Running>,
}

#[glib::object_subclass]
impl ObjectSubclass for Server {
    const NAME: &'static str = "GstSplitInferServer";
    type Type = super::ServerElement;
    type ParentType = gst::Element;
}

impl ObjectImpl for Server {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_element_flags(gst::ElementFlags::SOURCE);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(properties);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings.lock().unwrap().set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let state = self.state.lock().unwrap();
        match pspec.name() {
            "current-port" => state
                .running
                .as_ref()
                .map_or(0, |r| u32::from(r.listener.local_address().port()))
                .to_value(),
            "fingerprint" => state
                .loaded
                .as_ref()
                .map(|l| l.identity.fingerprint.to_string())
                .to_value(),
            "stats" => state
                .running
                .as_ref()
                .map_or_else(|| gst::Structure::new_empty("stats"), Running::stats)
                .to_value(),
            name => match self.settings.lock().unwrap().get(name) {
                Some(value) => value,
                None => pspec.default_value().clone(),
            },
        }
    }
}

impl GstObjectImpl for Server {}

impl ElementImpl for Server {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Split inference server",
                "Source/Network/Analyzer",
                "Completes the inference of any number of splitinfer-edge elements, sends the results back, and gives \
                 each edge's results out as JSON",
                "The splitinfer developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new(
                "src_%u",
                gst::PadDirection::Src,
                gst::PadPresence::Sometimes,
                &pads::caps(),
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => self.attempt(Self::load)?,
            gst::StateChange::ReadyToPaused => self.attempt(Self::listen)?,
            gst::StateChange::PausedToReady => self.stop(),
            _ => {}
        }
        let parent = self.parent_change_state(transition);
        match transition {
            gst::StateChange::PausedToReady => self.forget(),
            gst::StateChange::ReadyToNull => self.state.lock().unwrap().loaded = None,
            gst::StateChange::ReadyToPaused if parent.is_err() => {
                self.stop();
                self.forget();
            }
            _ => {}
        }
        let live = matches!(
            transition,
            gst::StateChange::ReadyToPaused | gst::StateChange::PlayingToPaused
        );
        parent.map(|success| match live {
            true => gst::StateChangeSuccess::NoPreroll,
            false => success,
        })
    }

    fn send_event(&self, event: gst::Event) -> bool {
        if event.type_() != gst::EventType::Eos {
            return self.parent_send_event(event);
        }
        gst::debug!(CAT, imp = self, "ending every stream");
        let linked = {
            let state = self.state.lock().unwrap();
            let Some(running) = &state.running else {
                return false;
            };
            running.serving.pads.end()
        };
        if !linked {
            self.end_alone();
        }
        true
    }
}

impl Server {
    /// What comes up from behind a pad.
    pub(super) fn pad_event(
        pad: &gst::Pad,
        parent: Option<&gst::Object>,
        event: gst::Event,
    ) -> bool {
        Self::catch_panic_pad_function(
            parent,
            || false,
            |imp| {
                if let Some(update) = splitinfer_meta::read_weights_event(&event) {
                    return imp.send_weights(pad, update.map_err(|e| e.to_string()));
                }
                if let Some(every) = splitinfer_meta::read_pictures_event(&event) {
                    return imp.want_pictures(pad, every);
                }
                gst::Pad::event_default(pad, Some(&*imp.obj()), event.clone())
            },
        )
    }

    pub(super) fn most_bytes(&self) -> usize {
        self.settings.lock().unwrap().max_tensor_bytes as usize
    }

    /// The edge behind a pad, while it has a session.
    fn session(&self, pad: &gst::Pad) -> Option<Arc<Served>> {
        let state = self.state.lock().unwrap();
        let serving = &state.running.as_ref()?.serving;
        let user = serving.pads.user(pad)?;
        let served = serving.served();
        served.into_iter().find(|s| s.client.id == user)
    }

    /// Whoever is behind a pad says of how many frames it wants pictures. The pad's task passes that on.
    fn want_pictures(&self, pad: &gst::Pad, every: u32) -> bool {
        let state = self.state.lock().unwrap();
        let running = state.running.as_ref();
        running.is_some_and(|running| running.serving.pads.want(pad, every))
    }

    /// Asks the edge behind a pad for the picture of every n-th frame, 0: of none.
    pub(super) fn request_pictures(&self, pad: &gst::Pad, every: u32) {
        if let Some(session) = self.session(pad)
            && let Some(outbox) = session.outbox.get()
        {
            gst::debug!(
                CAT,
                obj = pad,
                "asking for the picture of every {every}. frame"
            );
            outbox.send(Errand::RequestPictures(every));
        }
    }

    /// Sends new weights to the edge behind whose pad they were trained.
    fn send_weights(&self, pad: &gst::Pad, update: Result<WeightsUpdate, String>) -> bool {
        let session = self.session(pad);
        let rate = self.settings.lock().unwrap().update_rate();
        let sent = update.and_then(|update| match session {
            Some(session) => weights::send(&session, &update, rate),
            None => Err("no edge is behind this pad now".to_owned()),
        });
        if let Err(text) = &sent {
            weights::refuse(&self.obj(), text);
        }
        sent.is_ok()
    }

    /// Does a step of starting, and posts what was wrong.
    fn attempt(
        &self,
        step: fn(&Self) -> Result<(), gst::ErrorMessage>,
    ) -> Result<(), gst::StateChangeError> {
        step(self).map_err(|message| {
            self.post_error_message(message);
            gst::StateChangeError
        })
    }

    fn load(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().unwrap().clone();
        let loaded = Loaded::new(&settings)?;
        self.state.lock().unwrap().loaded = Some(loaded);
        Ok(())
    }

    fn listen(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().unwrap().clone();
        let (announcement, monitor) = {
            let mut state = self.state.lock().unwrap();
            let Some(loaded) = &state.loaded else {
                return Err(gst::error_msg!(
                    gst::CoreError::StateChange,
                    ("not in READY")
                ));
            };
            let running = Running::new(&settings, loaded, &self.obj())?;
            let text = announcement(&running, loaded);
            let monitor = running.listener.monitor().map(drop).map_err(str::to_owned);
            state.running = Some(running);
            (text, monitor)
        };
        gst::info!(CAT, imp = self, "{announcement}");
        gst::element_imp_info!(
            self,
            gst::ResourceError::OpenRead,
            ("{announcement}"),
            ["{announcement}"]
        );
        if let Err(text) = monitor {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::OpenReadWrite,
                ("property 'monitor-port': {text}; edges learn about the network from their frames alone")
            );
        }
        Ok(())
    }

    /// The tasks of the pads end here; the pads themselves go once nothing can push any more.
    fn stop(&self) {
        // Not under the lock: clients that leave are told to the application, which may ask for properties.
        let running = self.state.lock().unwrap().running.take();
        if let Some(mut running) = running {
            running.stop();
            self.state.lock().unwrap().running = Some(running);
        }
        self.obj().unset_element_flags(gst::ElementFlags::SINK);
    }

    fn forget(&self) {
        let running = self.state.lock().unwrap().running.take();
        if let Some(running) = running {
            running.serving.pads.remove_all(&self.obj());
        }
    }

    /// A pipeline ends when all its sinks have ended; where nothing is linked behind the server there may be none, and
    /// the server speaks for itself.
    fn end_alone(&self) {
        let element = self.obj();
        element.set_element_flags(gst::ElementFlags::SINK);
        let _ = element.post_message(gst::message::Eos::builder().src(&*element).build());
    }
}

fn announcement(running: &Running, loaded: &Loaded) -> String {
    let mut text = format!(
        "listening on UDP {}; certificate fingerprint (for server-fingerprint on other machines): {}",
        running.listener.local_address(),
        loaded.identity.fingerprint
    );
    if let Ok(Some((port, _))) = running.listener.monitor() {
        text += &format!("; monitor on UDP port {port}");
    }
    if loaded.identity.kept_in.is_none() {
        text += " (made for this run only, as there is no folder to keep it in)";
    }
    text
}
