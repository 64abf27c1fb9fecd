# SPDX-License-Identifier: MPL-2.0
"""The networks: a plain chain of convolutions, so that every place between two layers is a cut of one tensor.

The picture shrinks fast to a sixteenth, where most of the weights are and little has to be computed; two narrow
layers ("waists") are left as places where little has to cross the network. The outputs have stride 8.
"""

import torch
from torch import nn

STRIDE = 8
# Picture size of all models: height, width.
INPUT = (176, 320)


def block(inputs, outputs, size=3, stride=1, dilation=1):
    padding = dilation * (size - 1) // 2
    conv = nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Chain(nn.Module):
    """`width` 1 is the student; the second output follows `second`: "exp" for positive sizes, or "linear"."""

    def __init__(self, heatmaps, values, second, width=1.0):
        super().__init__()

        def c(channels):
            return int(channels * width + 7) // 8 * 8

        self.body = nn.Sequential(
            block(3, c(16), stride=2),
            block(c(16), c(24), stride=2),
            block(c(24), c(48), stride=2),
            block(c(48), c(16), size=1),  # first waist, stride 8
            block(c(16), c(64), stride=2),
            block(c(64), c(96)),
            block(c(96), c(96), dilation=2),
            block(c(96), c(24), size=1),  # second waist, stride 16
            block(c(24), c(96)),
            block(c(96), c(96)),
            block(c(96), 4 * c(40), size=1),
        )
        # Back to stride 8: four channels become a square of four cells.
        self.spread = nn.PixelShuffle(2)
        self.refine = block(c(40), c(56))
        self.heatmap = nn.Conv2d(c(56), heatmaps, 1)
        self.values = nn.Conv2d(c(56), values, 1)
        self.second = second
        # Almost every cell is background: start from there.
        nn.init.constant_(self.heatmap.bias, -4.0)

    def forward(self, picture):
        heat, second = self.logits(picture)
        return torch.sigmoid(heat), second

    def logits(self, picture):
        """Heatmap before the sigmoid, which the loss wants, and the second output."""
        features = self.refine(self.spread(self.body(picture)))
        heat, values = self.heatmap(features).float(), self.values(features).float()
        return heat, values.exp() if self.second == "exp" else values


def parameters(network):
    return sum(p.numel() for p in network.parameters())
