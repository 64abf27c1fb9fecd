# SPDX-License-Identifier: MPL-2.0
"""A second decoder of code 4, written from docs/tensor-code.md alone: slow, plain, for checking the specification.

second_decoder.py FILE…: the frames of one stream, in their order. Prints for each tensor that has levels a line:
its values. No library but Python's own.
"""

import math
import struct
import sys
from fractions import Fraction


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n : self.at]

    def byte(self):
        return self.take(1)[0]

    def number(self):
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value


class Number:
    """What is said in a band."""

    def __init__(self, data):
        self.x = int.from_bytes(data[:4].ljust(4, b"\0"), "little")
        self.rest = Bytes(data[4:])

    def read(self, find):
        slot = self.x % 2**15
        what, start, size = find(slot)
        self.x = size * (self.x // 2**15) + slot - start
        if self.x < 2**16 and len(self.rest.data) - self.rest.at >= 2:
            self.x = self.x * 2**16 + int.from_bytes(self.rest.take(2), "little")
        return what

    def plain(self, n):
        size = 2 ** (15 - n)
        return self.read(lambda slot: (slot // size, slot // size * size, size))


def rate(seen, steps):
    """`steps`: how many are learned at each rate, the first at the rate that comes first."""
    for r, many in steps:
        if seen < many:
            return r
        seen -= many
    return 7


class YesNo:
    STEPS = [(1, 1), (2, 3), (3, 6), (4, 13), (5, 27), (6, 50)]

    def __init__(self):
        self.shares, self.seen = [2**14], 0

    def read(self, number):
        p = self.shares[0]
        likelier = p >= 2**14
        first = p if likelier else 2**15 - p

        def find(slot):
            if slot < first:
                return likelier, 0, first
            return not likelier, first, 2**15 - first

        yes = number.read(find)
        r = rate(self.seen, self.STEPS)
        p += (2**15 - p) // 2**r if yes else -(p // 2**r)
        self.shares[0] = min(max(p, 16), 2**15 - 16)
        self.seen = min(self.seen + 1, 127)
        return yes


class Symbols:
    STEPS = [(3, 4), (4, 8), (5, 20), (6, 64)]

    def __init__(self, m, n):
        q = 32704 * n // (m + n)
        self.shares, self.seen = [0, q], 0
        while len(self.shares) < 16:
            q = q * m // (m + n)
            self.shares += [self.shares[-1] + q // 2, self.shares[-1] + q // 2 * 2]

    def read(self, number):
        ends = [b + 4 * s for s, b in enumerate(self.shares + [32704])]

        def find(slot):
            symbol = max(s for s in range(16) if ends[s] <= slot)
            return symbol, ends[symbol], ends[symbol + 1] - ends[symbol]

        symbol = number.read(find)
        r = rate(self.seen, self.STEPS)
        for i, b in enumerate(self.shares):
            target = 32704 if i > symbol else 0
            self.shares[i] = b + (target - b) // 2**r
        self.seen = min(self.seen + 1, 127)
        return symbol


ENDS = [0, 2, 4, 7, 11, 16, 23, 33, 47, 67, 95, 135, 191]
BUSY_ENDS = [0, 3, 7, 13, 22, 36, 60]


def class_of(value, ends):
    return sum(value > end for end in ends)


class Models(dict):
    """Made when they are first asked for, by what the specification calls them and their context."""

    def __missing__(self, key):
        if key[0] == "residual":
            c = key[2]
            ends = ENDS + [240]
            model = Symbols(2, 25) if c == 0 else Symbols(ends[c - 1] + ends[c] + 1, 28)
        elif key[0] == "far":
            model = Symbols(1, 1)
        else:
            model = YesNo()
        self[key] = model
        return model

    def copy(self):
        models = Models()
        for key, model in self.items():
            models[key] = object.__new__(type(model))
            models[key].shares, models[key].seen = list(model.shares), model.seen
        return models


def learned(start, bands):
    models = start.copy()
    for key in {key for band in bands for key in band}:
        model, fresh = models[key], start.get(key)
        begun = fresh.seen if fresh else 0
        weights = [(band[key].seen - begun, band[key].shares) for band in bands if key in band]
        total = sum(w for w, _ in weights)
        if total:
            sums = [sum(w * s[i] for w, s in weights) for i in range(len(model.shares))]
            model.shares, model.seen = [s // total for s in sums], 64
    return models


def inverse(c):
    def four(a, b, c, d, shift):
        half = 2 ** (shift - 1)
        e, f = 64 * (a + c) + half, 64 * (a - c) + half
        o, p = 83 * b + 36 * d, 36 * b - 83 * d
        return [v >> shift for v in (e + o, f + p, f - p, e - o)]

    columns = [four(*(c[4 * y + x] for y in range(4)), 4) for x in range(4)]
    rows = [four(*(columns[x][y] for x in range(4)), 10) for y in range(4)]
    return [v for row in rows for v in row]


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def clamp(value, most):
    return max(-most, min(most, value))


class Band:
    def __init__(self, tensor, rows, data, models):
        self.t, self.rows, self.number, self.models = tensor, rows, Number(data), models
        self.columns = -(-tensor.width // 4)
        self.modes = self.read_modes()
        self.busy, self.busy_block = {}, {}
        for channel in range(tensor.channels):
            self.channel(channel)

    def says(self, *key):
        return self.models[key].read(self.number)

    def read_modes(self):
        modes = {}
        for row in self.rows:
            for column in range(self.columns):
                west = modes.get((row, column - 1), ("skip", (0, 0)))
                north = modes.get((row - 1, column), west)
                modes[row, column] = self.mode(west, north)
        return modes

    def mode(self, west, north):
        if self.t.reference is None:
            return "fresh", (0, 0)
        kinds = ["skip", "difference", "fresh"]
        context = 3 * kinds.index(west[0]) + kinds.index(north[0])
        if self.says("skip", context):
            return "skip", (0, 0)
        if self.says("fresh", context):
            return "fresh", (0, 0)
        return "difference", self.motion(west[1], north[1])

    def motion(self, west, north):
        still = (0, 0)
        if self.says("still", (west != still) + (north != still)):
            return still
        if west != still and self.says("follows", 0):
            return west
        if north != still and north != west and self.says("follows", 1):
            return north
        dx = self.number.plain(4) - 8
        return dx, self.number.plain(4) - 8

    def channel(self, channel):
        self.magnitudes, self.coded, self.lively = {}, {}, 0
        for row in self.rows:
            for column in range(self.columns):
                kind, motion = self.modes[row, column]
                if kind != "skip":
                    self.block(channel, row, column, kind, motion)

    def block(self, channel, row, column, kind, motion):
        way = 0 if kind == "fresh" else 2 if self.t.frequency[channel] else 1
        place = row, column
        neighbours = self.coded.get((row, column - 1), 0) + self.coded.get((row - 1, column), 0)
        busy = class_of(self.busy_block.get(place, 0), BUSY_ENDS)
        coded = self.says("coded", way, self.lively >= 32, neighbours, busy)
        self.lively = 7 * self.lively // 8 + 16 * coded
        self.coded[place] = coded
        residuals = [0] * 16
        origin = 4 * column, 4 * row
        for k in range(16):
            x, y = origin[0] + k % 4, origin[1] + k // 4
            inside = x < self.t.width and y < self.t.height
            prediction = self.prediction(channel, x, y, way, motion) if inside else 0
            if coded and (inside or way == 2):
                residuals[k] = self.residual(place, k, way, prediction)
                self.magnitudes[x, y] = min(31, abs(residuals[k]))
            if inside:
                off = residuals[k] * self.t.quantum if way < 2 else 0
                self.t.levels[channel, x, y] = clamp(prediction + off, 32767)
        if coded and way == 2:
            off = inverse([clamp(r * self.t.quantum, 2**17) for r in residuals])
            for k in range(16):
                at = channel, origin[0] + k % 4, origin[1] + k // 4
                if at[1] < self.t.width and at[2] < self.t.height:
                    self.t.levels[at] = clamp(self.t.levels[at] + off[k], 32767)
        self.remember(place, residuals)

    def remember(self, place, residuals):
        def faded(b):
            return b - -(-b // 4)

        sizes = [min(15, abs(r)) for r in residuals]
        busy = self.busy.get(place, [0] * 16)
        self.busy[place] = [faded(b) + 4 * s for b, s in zip(busy, sizes)]
        self.busy_block[place] = faded(self.busy_block.get(place, 0)) + 4 * min(15, sum(sizes))

    def prediction(self, channel, x, y, way, motion):
        if way > 0:
            x = min(max(x + motion[0], 0), self.t.width - 1)
            y = min(max(y + motion[1], 0), self.t.height - 1)
            return self.t.reference[channel, x, y]
        has_w, has_n = x > 0, y > 4 * self.rows.start
        w = self.t.levels[channel, x - 1, y] if has_w else None
        n = self.t.levels[channel, x, y - 1] if has_n else None
        if has_w and has_n:
            return sorted([w, n, w + n - self.t.levels[channel, x - 1, y - 1]])[1]
        return w if has_w else n if has_n else 0

    def residual(self, place, k, way, prediction):
        twice, quantum = 2 * abs(prediction), self.t.quantum
        hint = (twice >= quantum) + (twice >= 3 * quantum) if way < 2 else min(3, k % 4 + k // 4)
        busy = self.busy.get(place, [0] * 16)[k]
        c = class_of(self.around(place, k, way) + busy // 2, ENDS)
        symbol = self.says("residual", way, c, hint)
        if symbol < 15:
            size = (symbol + 1) // 2
            return size if symbol % 2 else -size
        digits = self.says("far", c)
        size = 2**digits + self.number.plain(digits) + 7
        return -size if self.number.plain(1) else size

    def around(self, place, k, way):
        x, y = 4 * place[1] + k % 4, 4 * place[0] + k // 4

        def at(dx, dy):
            return self.magnitudes.get((x + dx, y + dy), 0)

        if way < 2:
            corner = at(1, -1) if k % 4 < 3 or k < 4 else 0
            return 2 * (at(-1, 0) + at(0, -1)) + at(-1, -1) + corner
        left, above = k % 4 > 0, k > 3
        if left and above:
            inner = 2 * (at(-1, 0) + at(0, -1))
        else:
            inner = 4 * at(-1, 0) if left else 4 * at(0, -1) if above else 0
        return inner + at(-4, 0) + at(0, -4)


class Tensor:
    def __init__(self, head):
        head.byte()  # element type
        self.shape = [head.number() for _ in range(head.byte())]
        self.step = struct.unpack("<f", head.take(4))[0]
        self.height = self.shape[-2] if len(self.shape) > 1 else 1
        self.width = self.shape[-1] if self.shape else 1
        self.channels = math.prod(self.shape[:-2])
        kind = head.byte()
        self.coarser = [0] * self.channels if kind == 0 else None
        if kind == 2:
            self.coarser = list(struct.unpack(f"{self.channels}b", head.take(self.channels)))
        self.quantum = head.byte()
        kind = head.byte()
        self.frequency = [kind == 1] * self.channels
        if kind == 2:
            bits = int.from_bytes(head.take(-(-self.channels // 8)), "little")
            self.frequency = [bits >> c & 1 == 1 for c in range(self.channels)]
        head.take(4)  # largest error
        self.bands, row = [], 0
        while row < -(-self.height // 4):
            rows, length = head.number(), head.number()
            self.bands.append((range(row, row + rows), length))
            row += rows
        self.payload = sum(length for _, length in self.bands)

    def decode(self, payload, earlier):
        start, self.reference = Models(), None
        if earlier and earlier.shape == self.shape:
            self.coarser = self.coarser or earlier.coarser
            self.reference = earlier.in_steps_of(self)
            start = earlier.models
        self.levels = dict(self.reference or {})
        bands = []
        for rows, length in self.bands:
            bands.append(Band(self, rows, payload.take(length), start.copy()).models)
        self.models = learned(start, bands) if math.prod(self.shape) >= 2048 else Models()

    def step_of(self, channel):
        # The product and the quotient of two `f32` are not rounded twice by way of a `double`.
        half_octaves = self.coarser[channel]
        step = single(self.step * 2.0 ** (half_octaves // 2))
        return single(step * single(math.sqrt(2))) if half_octaves % 2 else step

    def in_steps_of(self, other):
        if (other.step, other.coarser) == (self.step, self.coarser):
            return self.levels
        pairs = [(self.step_of(c), other.step_of(c)) for c in range(self.channels)]
        ratios = [single(mine / yours) for mine, yours in pairs]

        def rescaled(level, ratio):
            size = Fraction(single(abs(level) * ratio))
            return clamp(math.copysign(math.floor(size + Fraction(1, 2)), level), 32767)

        return {at: int(rescaled(level, ratios[at[0]])) for at, level in self.levels.items()}

    def values(self):
        steps = [self.step_of(channel) for channel in range(self.channels)]
        for channel in range(self.channels):
            for y in range(self.height):
                for x in range(self.width):
                    yield single(self.levels[channel, x, y] * steps[channel])


def decode(data, held):
    head = Bytes(data)
    assert head.take(4) == b"SITC" and head.take(2) == b"\1\4", "not a stream of code 4"
    count = int.from_bytes(head.take(2), "little")
    frame, back = head.number(), head.number()
    parts = []
    for _ in range(count):
        parts.append(Tensor(head) if head.byte() == 1 else head.number())
    earlier = held[frame - back] if back else [None] * count
    for part, before in zip(parts, earlier):
        if isinstance(part, Tensor):
            part.decode(head, before)
        else:
            head.take(part)
    held[frame] = [part if isinstance(part, Tensor) else None for part in parts]
    return held[frame]


def main():
    held = {}
    for file in sys.argv[1:]:
        with open(file, "rb") as stream:
            tensors = decode(stream.read(), held)
        for tensor in filter(None, tensors):
            print(*(value.hex() for value in tensor.values()))


main()
