// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The properties `execution-provider` and `device` of every element that runs a model.

/// Makes `ExecutionProvider`, ONNX Runtime's execution providers as a property, under the name that GStreamer's type system
/// is to know it by. A macro, because the plugins of one process must not register the same name twice.
#[macro_export]
macro_rules! execution_provider {
    ($name:tt) => {
        /// ONNX Runtime's execution providers, as a property.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
        #[enum_type(name = $name)]
        #[repr(i32)]
        pub enum ExecutionProvider {
            #[default]
            #[enum_value(name = "The processor", nick = "cpu")]
            Cpu = 0,
            #[enum_value(name = "NVIDIA CUDA", nick = "cuda")]
            Cuda = 1,
            #[enum_value(name = "NVIDIA TensorRT", nick = "tensorrt")]
            TensorRt = 2,
            #[enum_value(name = "Intel OpenVINO", nick = "openvino")]
            OpenVino = 3,
            #[enum_value(name = "Arm and x86 processors by XNNPACK", nick = "xnnpack")]
            Xnnpack = 4,
        }

        impl ExecutionProvider {
            /// `execution-provider`, of which the blurb says what ONNX Runtime does with it, and `device`; both with their
            /// defaults, and to be set while the element is stopped.
            pub fn properties(blurb: &str) -> [glib::ParamSpec; 2] {
                let provider = glib::ParamSpecEnum::builder_with_default(
                    "execution-provider",
                    Self::default(),
                )
                .nick("Execution provider")
                .blurb(blurb)
                .mutable_ready();
                let device = glib::ParamSpecInt::builder("device")
                    .nick("Device")
                    .blurb("Number of the device of the execution provider")
                    .minimum(0)
                    .default_value(0)
                    .mutable_ready();
                [provider.build(), device.build()]
            }
        }

        impl From<ExecutionProvider> for $crate::Provider {
            fn from(provider: ExecutionProvider) -> Self {
                match provider {
                    ExecutionProvider::Cpu => Self::Cpu,
                    ExecutionProvider::Cuda => Self::Cuda,
                    ExecutionProvider::TensorRt => Self::TensorRt,
                    ExecutionProvider::OpenVino => Self::OpenVino,
                    ExecutionProvider::Xnnpack => Self::Xnnpack,
                }
            }
        }
    };
}
