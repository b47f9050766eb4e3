"""The parts that students test: each in a given version, other correct versions and faulty ones.

`name` is the given version, `name__also_X` another correct version, `name__fault_X` a faulty one,
whose docstring says what is wrong. A version uses only NumPy and the constants below, because
`a5_render` copies it into a module of its own. The values of the constants come from the key.
"""

import numpy as np

Array = np.ndarray

GAIN = 1.0
SPAN = 1.0
BASE = 2.0
FLIP_AXIS = 0
FLOOR = 0.1
OFFSET = 16
PEAK = 255.0
OTHER_PEAK = 1.0


# layers


def mix_windows(x: Array, size: int, shift: int) -> Array:
    """Replace every pixel by the mean of its window, in shifted windows.

    The image is rolled by `shift` pixels up and to the left (cyclically), divided into windows of
    size x size pixels, and rolled back at the end.

    Args:
        x: (H, W); H and W are multiples of `size`.
        size: side of a window, in pixels.
        shift: from 0 to size - 1.

    Returns:
        (H, W).
    """
    height, width = x.shape
    moved = np.roll(x, (-shift, -shift), axis=(0, 1))
    blocks = moved.reshape(height // size, size, width // size, size)
    mixed = np.broadcast_to(blocks.mean(axis=(1, 3), keepdims=True), blocks.shape)
    return np.roll(mixed.reshape(height, width), (shift, shift), axis=(0, 1))


def mix_windows__also_indices(x: Array, size: int, shift: int) -> Array:
    """It computes the number of every pixel's window."""
    height, width = x.shape
    rows = (np.arange(height) - shift) % height // size
    columns = (np.arange(width) - shift) % width // size
    number = rows[:, None] * (width // size) + columns[None, :]
    sums = np.bincount(number.ravel(), weights=x.ravel())
    return sums[number] / size**2


def mix_windows__fault_unused_shift(x: Array, size: int, shift: int) -> Array:
    """The shift is never used."""
    height, width = x.shape
    blocks = x.reshape(height // size, size, width // size, size)
    mixed = np.broadcast_to(blocks.mean(axis=(1, 3), keepdims=True), blocks.shape)
    return mixed.reshape(height, width).copy()


def mix_windows__fault_not_rolled_back(x: Array, size: int, shift: int) -> Array:
    """The image is not rolled back."""
    height, width = x.shape
    moved = np.roll(x, (-shift, -shift), axis=(0, 1))
    blocks = moved.reshape(height // size, size, width // size, size)
    mixed = np.broadcast_to(blocks.mean(axis=(1, 3), keepdims=True), blocks.shape)
    return mixed.reshape(height, width).copy()


def mix_windows__fault_one_axis(x: Array, size: int, shift: int) -> Array:
    """Only the rows are shifted."""
    height, width = x.shape
    moved = np.roll(x, -shift, axis=0)
    blocks = moved.reshape(height // size, size, width // size, size)
    mixed = np.broadcast_to(blocks.mean(axis=(1, 3), keepdims=True), blocks.shape)
    return np.roll(mixed.reshape(height, width), shift, axis=0)


def channel_attention(q: Array, k: Array, v: Array, temperature: float) -> Array:
    """Attention between channels.

    Every row of `q` and `k` is divided by its Euclidean norm (over the pixels). The scores are
    temperature * q @ k.T, and their softmax runs over the channels of `k`.

    Args:
        q: queries (C, N), no row is zero.
        k: keys (C, N), no row is zero.
        v: values (C, N).
        temperature: factor of the scores.

    Returns:
        (C, N): for each channel of `q` a weighted mean of the channels of `v`.
    """
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    k = k / np.linalg.norm(k, axis=1, keepdims=True)
    scores = temperature * q @ k.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def channel_attention__also_einsum(q: Array, k: Array, v: Array, temperature: float) -> Array:
    """It multiplies first and divides by the norms afterwards."""
    norms = np.sqrt(np.einsum("cn,cn->c", q, q)[:, None] * np.einsum("dn,dn->d", k, k)[None, :])
    scores = temperature * np.einsum("cn,dn->cd", q, k) / norms
    logs = scores - np.logaddexp.reduce(scores, axis=1)[:, None]
    return np.einsum("cd,dn->cn", np.exp(logs), v)


def channel_attention__fault_norm_axis(q: Array, k: Array, v: Array, temperature: float) -> Array:
    """The norm runs over the channels of a pixel."""
    q = q / np.linalg.norm(q, axis=0, keepdims=True)
    k = k / np.linalg.norm(k, axis=0, keepdims=True)
    scores = temperature * q @ k.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def channel_attention__fault_softmax_axis(
    q: Array, k: Array, v: Array, temperature: float
) -> Array:
    """The softmax runs over the queries."""
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    k = k / np.linalg.norm(k, axis=1, keepdims=True)
    scores = temperature * q @ k.T
    weights = np.exp(scores - scores.max(axis=0, keepdims=True))
    return weights / weights.sum(axis=0, keepdims=True) @ v


def channel_attention__fault_temperature_unused(
    q: Array, k: Array, v: Array, temperature: float
) -> Array:
    """The temperature is never used."""
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    k = k / np.linalg.norm(k, axis=1, keepdims=True)
    scores = q @ k.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def channel_attention__fault_keys_not_normalised(
    q: Array, k: Array, v: Array, temperature: float
) -> Array:
    """Only the queries are normalised."""
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    scores = temperature * q @ k.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def gate(current: Array, feedback: Array, weight: Array, bias: Array) -> Array:
    """Add gated feedback: current + s * feedback, elementwise.

    s is the logistic sigmoid of weight @ [current; feedback] + bias, where [current; feedback] has
    the channels of `current` first.

    Args:
        current: (C, N).
        feedback: (C, N).
        weight: (C, 2C).
        bias: (C,), added to each pixel.

    Returns:
        (C, N).
    """
    both = np.concatenate([current, feedback])
    return current + feedback / (1 + np.exp(-(weight @ both + bias[:, None])))


def gate__also_halves(current: Array, feedback: Array, weight: Array, bias: Array) -> Array:
    """It multiplies the two halves of the weight separately."""
    channels = len(current)
    scores = weight[:, :channels] @ current + weight[:, channels:] @ feedback
    return 0.5 * (1 + np.tanh(0.5 * (scores + bias.reshape(-1, 1)))) * feedback + current


def gate__fault_gate_unused(current: Array, feedback: Array, weight: Array, bias: Array) -> Array:
    """The feedback passes without the gate."""
    return current + feedback


def gate__fault_order(current: Array, feedback: Array, weight: Array, bias: Array) -> Array:
    """The channels of the feedback are first."""
    both = np.concatenate([feedback, current])
    return current + feedback / (1 + np.exp(-(weight @ both + bias[:, None])))


def gate__fault_wrong_operand(current: Array, feedback: Array, weight: Array, bias: Array) -> Array:
    """The gate multiplies the current features."""
    both = np.concatenate([current, feedback])
    return feedback + current / (1 + np.exp(-(weight @ both + bias[:, None])))


def gate__fault_bias_unused(current: Array, feedback: Array, weight: Array, bias: Array) -> Array:
    """The bias is never used."""
    both = np.concatenate([current, feedback])
    return current + feedback / (1 + np.exp(-(weight @ both)))


def make_stack(count: int, width: int, rng: np.random.Generator) -> list[Array]:
    """Draw the weights of layers that share nothing.

    All values are independent and normal, with mean 0 and standard deviation GAIN / sqrt(width).
    The order of the draws is not specified.

    Args:
        count: number of layers.
        width: channels of each layer.
        rng: source of the random numbers.

    Returns:
        `count` arrays (width, width).
    """
    return [rng.normal(0, GAIN / np.sqrt(width), (width, width)) for _ in range(count)]


def make_stack__also_reversed(count: int, width: int, rng: np.random.Generator) -> list[Array]:
    """It draws one array for all layers and uses it from the end."""
    draws = rng.standard_normal((count, width, width))[::-1, ::-1] * (GAIN * width**-0.5)
    return [layer.copy() for layer in draws]


def make_stack__fault_shared(count: int, width: int, rng: np.random.Generator) -> list[Array]:
    """All layers are one array."""
    return [rng.normal(0, GAIN / np.sqrt(width), (width, width))] * count


def make_stack__fault_copies(count: int, width: int, rng: np.random.Generator) -> list[Array]:
    """All layers start with equal values."""
    layer = rng.normal(0, GAIN / np.sqrt(width), (width, width))
    return [layer.copy() for _ in range(count)]


def make_stack__fault_scale(count: int, width: int, rng: np.random.Generator) -> list[Array]:
    """The standard deviation is divided by the width, without the root."""
    return [rng.normal(0, GAIN / width, (width, width)) for _ in range(count)]


# coordinates


def centres(count: int) -> Array:
    """Centres of `count` equal pixels that fill the interval from -SPAN to SPAN, ascending.

    Args:
        count: number of pixels, 1 or more.

    Returns:
        (count,).
    """
    return SPAN * ((2 * np.arange(count) + 1) / count - 1)


def centres__also_edges(count: int) -> Array:
    """It computes the means of neighbouring edges."""
    edges = np.linspace(-SPAN, SPAN, count + 1)
    return (edges[1:] + edges[:-1]) / 2


def centres__fault_corners(count: int) -> Array:
    """The first and the last point are at the borders."""
    return np.linspace(-SPAN, SPAN, count)


def centres__fault_left_edges(count: int) -> Array:
    """It returns the left edges of the pixels."""
    return SPAN * (2 * np.arange(count) / count - 1)


def centres__fault_unit_span(count: int) -> Array:
    """The interval has the wrong length."""
    return 0.8 * SPAN * ((2 * np.arange(count) + 1) / count - 1)


def encode(x: Array, levels: int) -> Array:
    """Positional encoding with the frequencies pi * BASE**level, level = 0 ... levels - 1.

    Args:
        x: positions (N,).
        levels: number of frequencies.

    Returns:
        (N, 2 * levels): the sines of all frequencies in ascending order, then the cosines.
    """
    angles = x[:, None] * (np.pi * BASE ** np.arange(levels))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def encode__also_exponential(x: Array, levels: int) -> Array:
    """It uses complex exponentials."""
    waves = [np.exp(1j * np.pi * BASE**level * x) for level in range(levels)]
    return np.stack([wave.imag for wave in waves] + [wave.real for wave in waves], axis=-1)


def encode__fault_linear(x: Array, levels: int) -> Array:
    """The frequencies grow linearly; only the first two are right."""
    angles = x[:, None] * (np.pi * (1 + (BASE - 1) * np.arange(levels)))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def encode__fault_sine_twice(x: Array, levels: int) -> Array:
    """The second half holds sines too."""
    angles = x[:, None] * (np.pi * BASE ** np.arange(levels))
    return np.concatenate([np.sin(angles), np.sin(angles)], axis=1)


def encode__fault_no_pi(x: Array, levels: int) -> Array:
    """The factor pi is missing."""
    angles = x[:, None] * BASE ** np.arange(levels)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def encode__fault_interleaved(x: Array, levels: int) -> Array:
    """Sines and cosines alternate."""
    angles = x[:, None] * (np.pi * BASE ** np.arange(levels))
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(x), 2 * levels)


def ensemble_weights(offsets: Array) -> Array:
    """Weights of the four nearest codes in a local ensemble.

    The query lies in the square between four codes, which has side 1. A code's weight is the area
    of the rectangle between the query and the diagonally opposite code.

    Args:
        offsets: (N, 2), the distance (y, x) of each query from the top left code, in [0, 1].

    Returns:
        (N, 4): weights of the top left, top right, bottom left and bottom right code.
    """
    y, x = offsets[:, 0], offsets[:, 1]
    return np.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], axis=1)


def ensemble_weights__also_product(offsets: Array) -> Array:
    """It multiplies the weights of the two axes."""
    axes = np.stack([1 - offsets, offsets], axis=1)  # (N, near or far, y or x)
    return np.einsum("ni,nj->nij", axes[:, :, 0], axes[:, :, 1]).reshape(len(offsets), 4)


def ensemble_weights__fault_own_area(offsets: Array) -> Array:
    """A code gets the area beside it, not the opposite one."""
    y, x = offsets[:, 0], offsets[:, 1]
    return np.stack([y * x, y * (1 - x), (1 - y) * x, (1 - y) * (1 - x)], axis=1)


def ensemble_weights__fault_swapped(offsets: Array) -> Array:
    """The areas of the top right and the bottom left code are swapped."""
    y, x = offsets[:, 0], offsets[:, 1]
    return np.stack([(1 - y) * (1 - x), y * (1 - x), (1 - y) * x, y * x], axis=1)


def ensemble_weights__fault_one_axis(offsets: Array) -> Array:
    """Both axes use the distance y."""
    y = offsets[:, 0]
    return np.stack([(1 - y) ** 2, (1 - y) * y, y * (1 - y), y * y], axis=1)


def resize(x: Array, height: int, width: int) -> Array:
    """Bilinear interpolation of an image at the pixel centres of another size, without a filter.

    Row i of the result lies at row (i + 1/2) * H / height - 1/2 of `x`, and columns likewise.
    Positions outside the first and the last pixel centre use the border pixel.

    Args:
        x: (H, W).
        height: rows of the result.
        width: columns of the result.

    Returns:
        (height, width).
    """
    for axis, count in ((0, height), (1, width)):
        side = x.shape[axis]
        at = np.clip((np.arange(count) + 0.5) * side / count - 0.5, 0, side - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, side - 1)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        x = (1 - share) * x.take(low, axis) + share * x.take(high, axis)
    return x


def resize__also_matrices(x: Array, height: int, width: int) -> Array:
    """It multiplies by one matrix for each axis."""
    matrices = []
    for side, count in zip(x.shape, (height, width), strict=True):
        at = (np.arange(count) * 2 + 1) * (side / (2 * count)) - 0.5
        distance = np.abs(np.clip(at, 0, side - 1)[:, None] - np.arange(side)[None, :])
        matrices.append(np.maximum(0.0, 1 - distance))
    return matrices[0] @ x @ matrices[1].T


def resize__fault_corners(x: Array, height: int, width: int) -> Array:
    """The corner pixels of both images coincide."""
    for axis, count in ((0, height), (1, width)):
        side = x.shape[axis]
        at = np.linspace(0, side - 1, count)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, side - 1)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        x = (1 - share) * x.take(low, axis) + share * x.take(high, axis)
    return x


def resize__fault_half_pixel(x: Array, height: int, width: int) -> Array:
    """The half pixel is missing."""
    for axis, count in ((0, height), (1, width)):
        side = x.shape[axis]
        at = np.clip(np.arange(count) * side / count, 0, side - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, side - 1)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        x = (1 - share) * x.take(low, axis) + share * x.take(high, axis)
    return x


def resize__fault_one_factor(x: Array, height: int, width: int) -> Array:
    """Both axes use the factor of the rows."""
    factor = x.shape[0] / height
    for axis, count in ((0, height), (1, width)):
        side = x.shape[axis]
        at = np.clip((np.arange(count) + 0.5) * factor - 0.5, 0, side - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, side - 1)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        x = (1 - share) * x.take(low, axis) + share * x.take(high, axis)
    return x


# training


def augment(rainy: Array, clean: Array, code: int) -> tuple[Array, Array]:
    """Apply one of the eight symmetries of the square to both images of a pair.

    Both images are rotated by code % 4 quarter turns counterclockwise. If `code` is 4 or more, both
    are then flipped along axis FLIP_AXIS.

    Args:
        rainy: (H, W, 3).
        clean: (H, W, 3).
        code: 0 to 7.

    Returns:
        The rainy and the clean image, (H, W, 3) or (W, H, 3).
    """
    pair = [np.rot90(image, code % 4) for image in (rainy, clean)]
    if code >= 4:
        pair = [np.flip(image, FLIP_AXIS) for image in pair]
    return pair[0], pair[1]


def augment__also_stacked(rainy: Array, clean: Array, code: int) -> tuple[Array, Array]:
    """It turns both images together, one quarter after the other."""
    both = np.stack([rainy, clean])
    for _ in range(code % 4):
        both = both.swapaxes(1, 2)[:, ::-1]
    if code // 4:
        both = np.take(both, np.arange(both.shape[1 + FLIP_AXIS])[::-1], axis=1 + FLIP_AXIS)
    return both[0].copy(), both[1].copy()


def augment__fault_only_rainy(rainy: Array, clean: Array, code: int) -> tuple[Array, Array]:
    """The clean image is not changed."""
    image = np.rot90(rainy, code % 4)
    return (np.flip(image, FLIP_AXIS) if code >= 4 else image), clean


def augment__fault_no_flip(rainy: Array, clean: Array, code: int) -> tuple[Array, Array]:
    """The result of the flip is lost."""
    pair = [np.rot90(image, code % 4) for image in (rainy, clean)]
    if code >= 4:
        for image in pair:
            np.flip(image, FLIP_AXIS)
    return pair[0], pair[1]


def augment__fault_no_op(rainy: Array, clean: Array, code: int) -> tuple[Array, Array]:
    """Nothing is changed."""
    return rainy, clean


def augment__fault_two_axes(rainy: Array, clean: Array, code: int) -> tuple[Array, Array]:
    """The two images are flipped along different axes."""
    first, second = (np.rot90(image, code % 4) for image in (rainy, clean))
    if code >= 4:
        first, second = np.flip(first, FLIP_AXIS), np.flip(second, 1 - FLIP_AXIS)
    return first, second


def frequency_loss(x: Array, y: Array) -> float:
    """Mean absolute value of the difference of two images' Fourier transforms.

    The transform runs over the rows and columns of each channel and is not normalised.

    Args:
        x: (H, W, C).
        y: (H, W, C).
    """
    difference = np.fft.fft2(x, axes=(0, 1)) - np.fft.fft2(y, axes=(0, 1))
    return float(np.abs(difference).mean())


def frequency_loss__also_matrices(x: Array, y: Array) -> float:
    """It multiplies the difference by Fourier matrices."""
    height, width, _ = x.shape
    rows = np.exp(-2j * np.pi * np.outer(np.arange(height), np.arange(height)) / height)
    columns = np.exp(-2j * np.pi * np.outer(np.arange(width), np.arange(width)) / width)
    values = np.einsum("ij,jkc,kl->ilc", rows, x - y, columns)
    return float(np.sqrt(values.real**2 + values.imag**2).sum() / x.size)


def frequency_loss__fault_axes(x: Array, y: Array) -> float:
    """The transform runs over columns and channels."""
    return float(np.abs(np.fft.fft2(x) - np.fft.fft2(y)).mean())


def frequency_loss__fault_no_phase(x: Array, y: Array) -> float:
    """Only the magnitudes are compared."""
    magnitudes = [np.abs(np.fft.fft2(image, axes=(0, 1))) for image in (x, y)]
    return float(np.abs(magnitudes[0] - magnitudes[1]).mean())


def frequency_loss__fault_real_part(x: Array, y: Array) -> float:
    """The imaginary part is lost."""
    return float(np.abs(np.fft.fft2(x - y, axes=(0, 1)).real).mean())


def update_average(
    average: dict[str, Array], value: dict[str, Array], decay: float
) -> dict[str, Array]:
    """Moving average of weights: decay * average + (1 - decay) * value, for every name.

    The arguments and their arrays are not changed, and the result shares no memory with them.

    Args:
        average: the averages so far, by name.
        value: the current weights, with the same names and shapes.
        decay: in [0, 1].

    Returns:
        The new averages, by name.
    """
    return {name: decay * average[name] + (1 - decay) * value[name] for name in average}


def update_average__also_steps(
    average: dict[str, Array], value: dict[str, Array], decay: float
) -> dict[str, Array]:
    """It moves a copy of the average towards the value."""
    result = {name: array.copy() for name, array in average.items()}
    for name, array in result.items():
        array += (1 - decay) * (value[name] - array)
    return result


def update_average__fault_swapped(
    average: dict[str, Array], value: dict[str, Array], decay: float
) -> dict[str, Array]:
    """The two factors are swapped."""
    return {name: (1 - decay) * average[name] + decay * value[name] for name in average}


def update_average__fault_first_only(
    average: dict[str, Array], value: dict[str, Array], decay: float
) -> dict[str, Array]:
    """Only the first array is averaged."""
    result = {name: array.copy() for name, array in average.items()}
    for name in list(average)[:1]:
        result[name] = decay * average[name] + (1 - decay) * value[name]
    return result


def update_average__fault_in_place(
    average: dict[str, Array], value: dict[str, Array], decay: float
) -> dict[str, Array]:
    """The old averages are overwritten."""
    for name in average:
        average[name] *= decay
        average[name] += (1 - decay) * value[name]
    return average


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Learning rate of a step: a linear warm-up, then a cosine.

    In the warm-up the rate is peak * (step + 1) / warmup. Then it follows half a period of a cosine
    from `peak` at step `warmup` to FLOOR * peak at the last step.

    Args:
        step: 0 to steps - 1.
        steps: steps of the run, at least warmup + 2.
        warmup: steps of the warm-up; 0 has none.
        peak: highest rate.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (steps - 1 - warmup)
    return peak * (FLOOR + (1 - FLOOR) * (1 + float(np.cos(np.pi * progress))) / 2)


def learning_rate__also_sine(step: int, steps: int, warmup: int, peak: float) -> float:
    """It uses the square of a sine."""
    if warmup > step:
        return (peak / warmup) * (1 + step)
    angle = 0.5 * np.pi * (step - warmup) / (steps - warmup - 1)
    return float(peak - (peak - FLOOR * peak) * np.sin(angle) ** 2)


def learning_rate__fault_no_warmup(step: int, steps: int, warmup: int, peak: float) -> float:
    """The cosine begins at step 0."""
    progress = step / (steps - 1)
    return peak * (FLOOR + (1 - FLOOR) * (1 + float(np.cos(np.pi * progress))) / 2)


def learning_rate__fault_no_floor(step: int, steps: int, warmup: int, peak: float) -> float:
    """The rate ends at 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (steps - 1 - warmup)
    return peak * (1 + float(np.cos(np.pi * progress))) / 2


def learning_rate__fault_wrong_period(step: int, steps: int, warmup: int, peak: float) -> float:
    """The cosine is a quarter of a period; both ends are right."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (steps - 1 - warmup)
    return peak * (FLOOR + (1 - FLOOR) * float(np.cos(np.pi * progress / 2)))


# metrics


def luma(image: Array) -> Array:
    """Brightness OFFSET + 65.481 R + 128.553 G + 24.966 B, not rounded.

    Args:
        image: (H, W, 3), red, green and blue in [0, 1].

    Returns:
        (H, W).
    """
    return OFFSET + image @ np.array([65.481, 128.553, 24.966])


def luma__also_sum(image: Array) -> Array:
    """It adds the three channels."""
    red, green, blue = np.moveaxis(image, -1, 0)
    return 65.481 * red + 128.553 * green + (24.966 * blue + OFFSET)


def luma__fault_bgr(image: Array) -> Array:
    """Red and blue are swapped."""
    return OFFSET + image @ np.array([24.966, 128.553, 65.481])


def luma__fault_no_offset(image: Array) -> Array:
    """The offset is missing."""
    return image @ np.array([65.481, 128.553, 24.966])


def luma__fault_mean(image: Array) -> Array:
    """The three channels have equal weights."""
    return OFFSET + 219.0 * image.mean(axis=-1)


def psnr(x: Array, y: Array) -> float:
    """Peak signal-to-noise ratio 10 log10(PEAK**2 / MSE), in dB.

    MSE is the mean over all pixels and channels. Equal images give infinity.

    Args:
        x: (H, W, 3), from 0 to PEAK.
        y: (H, W, 3), from 0 to PEAK.
    """
    error = float(np.mean((x - y) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(PEAK**2 / error))


def psnr__also_norm(x: Array, y: Array) -> float:
    """It uses the norm of the scaled difference."""
    error = np.linalg.norm(((x - y) / PEAK).ravel()) / np.sqrt(x.size)
    return float(-20 * np.log10(error)) if error > 0 else float("inf")


def psnr__fault_range(x: Array, y: Array) -> float:
    """The peak belongs to another range."""
    error = float(np.mean((x - y) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(OTHER_PEAK**2 / error))


def psnr__fault_image_peak(x: Array, y: Array) -> float:
    """The peak is the largest value of the second image."""
    error = float(np.mean((x - y) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(y.max() ** 2 / error))


def psnr__fault_channels(x: Array, y: Array) -> float:
    """It averages the PSNR of the channels."""
    errors = np.mean((x - y) ** 2, axis=(0, 1))
    if not errors.any():
        return float("inf")
    return float(np.mean(10 * np.log10(PEAK**2 / np.maximum(errors, 1e-12 * PEAK**2))))


def psnr__fault_half(x: Array, y: Array) -> float:
    """The factor is 10 where the root of the error needs 20."""
    error = float(np.sqrt(np.mean((x - y) ** 2)))
    return float("inf") if error == 0 else float(10 * np.log10(PEAK / error))


def ssim(x: Array, y: Array) -> float:
    """SSIM with the whole plane as one window.

    (2 m_x m_y + c1) (2 c_xy + c2) / ((m_x**2 + m_y**2 + c1) (v_x + v_y + c2)), with means m,
    variances v and covariance c (both divided by the number of pixels), c1 = (0.01 PEAK)**2 and
    c2 = (0.03 PEAK)**2.

    Args:
        x: (H, W), from 0 to PEAK.
        y: (H, W), from 0 to PEAK.
    """
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mx, my = x.mean(), y.mean()
    covariance = np.mean((x - mx) * (y - my))
    means = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    return float(means * (2 * covariance + c2) / (x.var() + y.var() + c2))


def ssim__also_scaled(x: Array, y: Array) -> float:
    """It scales the planes to a peak of 1 first."""
    table = np.cov(np.stack([x.ravel(), y.ravel()]) / PEAK, bias=True)
    first, second = x.mean() / PEAK, y.mean() / PEAK
    above = (2 * first * second + 1e-4) * (2 * table[0, 1] + 9e-4)
    return float(above / ((first**2 + second**2 + 1e-4) * (np.trace(table) + 9e-4)))


def ssim__fault_range(x: Array, y: Array) -> float:
    """The two constants belong to another range."""
    c1, c2 = (0.01 * OTHER_PEAK) ** 2, (0.03 * OTHER_PEAK) ** 2
    mx, my = x.mean(), y.mean()
    covariance = np.mean((x - mx) * (y - my))
    means = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    return float(means * (2 * covariance + c2) / (x.var() + y.var() + c2))


def ssim__fault_no_means(x: Array, y: Array) -> float:
    """The factor with the means is missing."""
    c2 = (0.03 * PEAK) ** 2
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float((2 * covariance + c2) / (x.var() + y.var() + c2))


def ssim__fault_absolute(x: Array, y: Array) -> float:
    """The covariance has lost its sign."""
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mx, my = x.mean(), y.mean()
    covariance = abs(np.mean((x - mx) * (y - my)))
    means = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    return float(means * (2 * covariance + c2) / (x.var() + y.var() + c2))


def ssim__fault_deviations(x: Array, y: Array) -> float:
    """It uses the product of the deviations in place of the covariance."""
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mx, my = x.mean(), y.mean()
    means = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    return float(means * (2 * x.std() * y.std() + c2) / (x.var() + y.var() + c2))


def mean_psnr(errors: Array) -> float:
    """Mean of the images' PSNR 10 log10(PEAK**2 / error), in dB.

    Args:
        errors: (N,), the mean squared error of each image, above 0.
    """
    return float(np.mean(10 * np.log10(PEAK**2 / errors)))


def mean_psnr__also_logs(errors: Array) -> float:
    """It averages the logarithms first."""
    return float(20 * np.log10(PEAK) - 10 * np.sum(np.log10(errors)) / len(errors))


def mean_psnr__fault_mean_error(errors: Array) -> float:
    """It is the PSNR of the mean error."""
    return float(10 * np.log10(PEAK**2 / np.mean(errors)))


def mean_psnr__fault_median(errors: Array) -> float:
    """It is the median."""
    return float(np.median(10 * np.log10(PEAK**2 / errors)))


def mean_psnr__fault_range(errors: Array) -> float:
    """The peak belongs to another range."""
    return float(np.mean(10 * np.log10(OTHER_PEAK**2 / errors)))
