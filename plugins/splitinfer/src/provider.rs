// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The properties `execution-provider` and `device` of this plugin's elements.

use gst::glib;
use gst::prelude::*;

splitinfer_inference::execution_provider!("GstSplitInferExecutionProvider");
