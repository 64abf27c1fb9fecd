# SPDX-License-Identifier: MPL-2.0
"""The recipe for the models of this folder: data, networks, losses, training, export, evaluation."""
