"""Programming 2, the network: a small convolutional network that names what is on a 32 x 32 colour image (CIFAR-10).

From the pixels to ten logits in five stages:

    whitening    2 x 2 patches -> 24 channels, computed from the data, not trained: neighbouring pixels and colours are
                 nearly equal, and a network learns faster from numbers that are not
    three groups convolution, max-pooling 2 x 2, batch normalisation, GELU; then further convolutions at that size
    largest      of each channel over the image: what was seen, not where
    head         a matrix product: one logit a class, without a bias

Images are (n, 3, height, width), channels in the order red, green, blue, either uint8 (0..255) or floating point in
0..1; the network normalises them itself, so that a saved model needs nothing beside its weights. It works at any size
from 16 x 16 on, which is what lets a training begin with small images. Bad input raises a ValueError in one sentence.

Sources: whitening, widths and pooling order follow K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024,
arXiv:2404.00498; GELU: D. Hendrycks and K. Gimpel, 2016, arXiv:1606.08415.
"""

import io
import os
import pickle
import time
import warnings
import zipfile

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PATCH = 2  # pixels on the side of a whitened patch
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")  # none that starts another program, as EPS does
LARGEST_IMAGE = 50_000_000  # pixels of a reader's own image
SMALLEST = 16  # pixels: 15 after whitening, then 7, 3 and 1


class Group(nn.Module):
    """Convolutions of one width; the first is followed by max-pooling, so that all the work after it is a quarter.

    With three convolutions or more, the input of the second is added to the output of the last: a shortcut for the
    gradient (K. He et al., 2015, arXiv:1512.03385).
    """

    def __init__(self, channels_in, width, depth):
        super().__init__()
        sizes = [channels_in] + [width] * depth
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel_size=3, padding=1, bias=False) for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, momentum=0.2) for _ in range(depth))
        for norm in self.norms:
            norm.weight.requires_grad = False  # the next convolution sets the scale; one number a channel is enough

    def forward(self, x):
        x = F.max_pool2d(self.convolutions[0](x), 2)  # pool first: normalisation and GELU then touch a quarter
        x = F.gelu(self.norms[0](x))
        shortcut = x if len(self.norms) > 2 else None
        for k, (convolution, norm) in enumerate(zip(self.convolutions[1:], self.norms[1:], strict=True), start=2):
            x = norm(convolution(x))
            if shortcut is not None and k == len(self.norms):
                x = x + shortcut
            x = F.gelu(x)
        return x


class CNN(nn.Module):
    """The network: `widths` are the channels of its three groups, `depth` the convolutions in each.

    Raises ValueError for widths or a depth that are no positive whole numbers.
    """

    def __init__(self, widths=(64, 128, 128), depth=2, classes=10):
        super().__init__()
        for number in (*widths, depth, classes):
            if not isinstance(number, int) or number < 1:
                raise ValueError(
                    f"widths, depth and classes are {widths}, {depth}, {classes}; give whole numbers >= 1."
                )
        self.widths, self.depth = tuple(widths), depth
        self.register_buffer("mean", torch.full((3,), 0.5))
        self.register_buffer("std", torch.full((3,), 0.25))
        self.whitening = nn.Conv2d(3, 2 * 3 * PATCH**2, kernel_size=PATCH)
        self.whitening.weight.requires_grad = False
        channels = [self.whitening.out_channels, *widths]
        self.groups = nn.Sequential(*(Group(a, b, depth) for a, b in zip(channels[:-1], channels[1:], strict=True)))
        self.head = nn.Linear(widths[-1], classes, bias=False)
        self.reset()

    def reset(self):
        """Draw initial weights: each convolution first hands its input on, unchanged."""
        with torch.no_grad():
            nn.init.zeros_(self.whitening.bias)
            for group in self.groups:
                for convolution in group.convolutions:
                    convolution.reset_parameters()
                    nn.init.dirac_(convolution.weight[: convolution.in_channels])
            nn.init.normal_(self.head.weight)

    def fit_input(self, images):
        """Set the normalisation and the whitening filters from training images, uint8 (n, 3, height, width).

        The filters are the eigenvectors of the covariance of all 2 x 2 patches, each divided by the standard deviation
        along it, and each with both signs: what GELU cuts off one, it passes in the other.
        """
        x = images.float() / 255
        with torch.no_grad():
            self.mean.copy_(x.mean((0, 2, 3)))
            self.std.copy_(x.std((0, 2, 3)).clamp_min(1e-3))  # images of one flat colour have none
            x = (x - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)
            patches = F.unfold(x, PATCH).transpose(1, 2).reshape(-1, 3 * PATCH**2)
            variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
            # The smallest variances are mostly camera noise: 5e-4 keeps them from being blown up.
            filters = (directions / (variances + 5e-4).sqrt()).T.reshape(-1, 3, PATCH, PATCH)
            self.whitening.weight.copy_(torch.cat([filters, -filters]))

    def normalise(self, images):
        """Images, uint8 in 0..255 or floating point in 0..1, with mean 0 and standard deviation 1 a channel."""
        check_images(images)
        scale = 255 if images.dtype == torch.uint8 else 1
        x = images.float() if scale == 255 else images
        return (x - scale * self.mean.view(-1, 1, 1)) / (scale * self.std.view(-1, 1, 1))

    def forward(self, images):
        """Logits (n, classes) of images (n, 3, height, width)."""
        x = F.gelu(self.whitening(self.normalise(images)))
        x = self.groups(x).amax((2, 3))
        # Divided by the width, the logits start small and the head may use a large learning rate.
        return self.head(x).float() / self.head.in_features

    @classmethod
    def from_weights(cls, weights, source="The weights"):
        """The network that a bare state_dict belongs to: widths and depth are read off its shapes.

        Raises ValueError when it belongs to another architecture.
        """
        foreign = ValueError(
            f"{source} belong to another architecture; give weights that p2.py has saved (p2_model.pkl)."
        )
        try:
            count = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("groups."))
            depth = 1 + max(int(name.split(".")[3]) for name in weights if name.startswith("groups.0.convolutions."))
            widths = tuple(len(weights[f"groups.{i}.convolutions.0.weight"]) for i in range(count))
            network = cls(widths, depth, len(weights["head.weight"]))
            network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
            raise foreign from None
        return network.eval()


def check_images(images):
    """Raise ValueError unless `images` are (n, 3, height, width) with at least 16 pixels a side."""
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < SMALLEST:
        raise ValueError(
            f"The images have shape {shape}; give (n, 3, height, width), "
            f"colours in second place and at least {SMALLEST} pixels a side."
        )


# ---------------------------------------------------------------------------------------------------------------
# What it costs
# ---------------------------------------------------------------------------------------------------------------


def layer_table(network, size=32):
    """What each layer does to one image of size x size: a list of (name, output shape, parameters, FLOPs).

    FLOPs are floating-point operations of the forward pass, a multiplication and an addition being two, as the field
    counts them: convolutions and matrix products only, for the rest is below one in a hundred.
    """
    rows = []

    def note(name):
        def hook(layer, inputs, output):
            positions = output[0, 0].numel() if output.dim() == 4 else 1
            rows.append((name, tuple(output.shape[1:]), layer.weight.numel(), 2 * layer.weight.numel() * positions))

        return hook

    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(note(name)) for name, layer in layers]
    was_training, device = network.training, network.mean.device
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, size, size, device=device))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return rows


def forward_flops(network, size=32):
    """FLOPs of the forward pass for one image of size x size."""
    return sum(row[3] for row in layer_table(network, size))


def training_flops(network, size=32):
    """FLOPs of one training step for one image: forward, gradient in the weights, gradient in the inputs.

    Each of the three costs a layer the same; whitening has fixed weights, and while its bias is fixed too nobody needs
    the gradient in the first convolution's inputs either.
    """
    rows = layer_table(network, size)
    whitening, first = rows[0][3], rows[1][3]
    inputs_wanted = network.whitening.bias.requires_grad
    return whitening + (3 if inputs_wanted else 2) * first + 3 * sum(row[3] for row in rows[2:])


def parameter_count(network):
    """How many numbers the network has: trained ones and the fixed whitening filters."""
    return sum(
        parameter.numel() for parameter in network.parameters() if parameter.dim() != 1 or parameter.requires_grad
    )


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------


def write_file(path, content):
    """Write a dictionary of tensors and plain values, under a temporary name first: never half a file under `path`.

    Raises OSError, in one sentence, when there is no room; an older file under that name is then untouched.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    replace_file(path, buffer.getvalue())


def replace_file(path, data):
    """Let the file `path` hold `data` (bytes) at once or not at all; raises OSError, in one sentence."""
    part = f"{path}.part"
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        for wait in (0.05, 0.1, 0.2, 0.4, None):
            try:
                os.replace(part, path)
                break
            except PermissionError:  # on Windows a virus scanner may hold a file for a moment
                if os.name != "nt" or wait is None:
                    raise
                time.sleep(wait)
    except OSError as error:
        if os.path.exists(part):
            os.remove(part)
        raise OSError(
            f"{path} could not be written ({error.strerror}); make room or choose another --output. "
            "What was saved before is untouched."
        ) from error


def read_file(path):
    """The dictionary in a file of write_file: tensors and plain values only, no code is ever run.

    Raises ValueError, in one sentence, for a file that is missing, cut short, damaged, or holds Python objects.
    """
    try:
        with open(path, "rb") as file:
            data = io.BytesIO(file.read())
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}; train first, or name the file that you mean.") from None
    if zipfile.is_zipfile(data) and damaged(data):  # PyTorch itself looks at no checksum when it reads
        raise ValueError(f"{path} is damaged; delete it and train again, or take an older copy.")
    data.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch finds unusual about a foreign file is no news here
            return torch.load(data, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if zipfile.is_zipfile(data):
            raise ValueError(
                f"{path} holds Python objects, which could run code when loaded; give a file that p2.py has saved."
            ) from None
        raise ValueError(f"{path} is not a file of PyTorch; give a file that p2.py has saved.") from None
    except (RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError):
        raise ValueError(f"{path} is damaged or cut short; delete it and train again, or take an older copy.") from None


def damaged(data):
    """True when a part of a zip archive (an open binary file) is not what its checksum says."""
    try:
        return zipfile.ZipFile(data).testzip() is not None
    except Exception:  # zipfile raises a different kind of error for each way an archive can be broken
        return True


def save_model(path, network, half=False):
    """Write the network's bare state_dict, in half precision if `half`; weights_only=True can read it."""
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    if half:
        weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    write_file(path, {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()})


def load_model(path):
    """The network in a file of save_model, ready to predict; raises ValueError for any other file, in one sentence."""
    weights = read_file(path)
    if not isinstance(weights, dict):
        raise ValueError(f"{path} holds no named weights; give a file that p2.py has saved (p2_model.pkl).")
    return CNN.from_weights(weights, f"The weights in {path}")


def read_image(file):
    """An image file (a path or an open binary file) as (1, 3, 32, 32) uint8, and a sentence on what was done to it.

    The largest square around the middle is cut out and shrunk to 32 x 32. Raises ValueError when it is no image, or has
    more than 50 million pixels.
    """
    from PIL import Image, UnidentifiedImageError

    name = file if isinstance(file, str | os.PathLike) else "The file"
    large = ValueError(f"{name} has more than {LARGEST_IMAGE:,} pixels; shrink it first, for it could fill the memory.")
    image = None
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=IMAGE_FORMATS) as opened:
            if opened.width * opened.height <= LARGEST_IMAGE:
                image = opened.convert("RGB")
    except FileNotFoundError:
        raise ValueError(f"There is no image {file}; check the name.") from None
    except Image.DecompressionBombError:
        raise large from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, MemoryError):
        raise ValueError(f"{name} is not an image that can be read; give a PNG or JPEG file.") from None
    if image is None:
        raise large
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    small = image.crop((left, top, left + side, top + side)).resize((32, 32), Image.Resampling.LANCZOS)
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(32, 32, 3)
    done = "kept as it is" if (width, height) == (32, 32) else "cut to its middle square and resized to 32×32"
    return pixels.permute(2, 0, 1)[None].contiguous(), f"The image, {width}×{height} pixels, was {done}."
