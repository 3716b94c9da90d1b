"""Programming 2, the training: images in batches, two optimizers, the schedule, and checkpoints that survive a kill.

What happens in one step, in order: a batch of images is cut out of one big tensor, flipped and shifted on the way;
the network gives logits; the loss is their cross-entropy with the labels; backpropagation gives every weight its
gradient; the filters take a step of Muon, everything else a step of gradient descent with momentum.

Every random number comes from one generator whose state is part of the checkpoint, so that a training that was stopped
and resumed makes the very same steps. Under torchrun every process draws the same numbers and works on its own share of
each batch; DistributedDataParallel averages the gradients.

Sources: Muon: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/; alternating flip: arXiv:2404.00498; cutout: T. DeVries and G. Taylor, 2017,
arXiv:1708.04552; small images first: fast.ai's DAWNBench entry, 2018.
"""

import contextlib
import os
import time

import torch
import torch.distributed
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

if __package__:
    from helpers.core import cnn
else:  # in the hand-in folder the modules lie side by side
    import cnn

# ---------------------------------------------------------------------------------------------------------------
# Device and precision
# ---------------------------------------------------------------------------------------------------------------


def choose_device(name="auto"):
    """The torch.device called `name`: "cpu", "cuda" or "mps"; "auto" takes the fastest that there is.

    The environment variable WORKBOOK_DEVICE says what "auto" means instead. Raises ValueError for a device that this
    machine, or this build of PyTorch, does not have.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    there |= {kind: works(kind) for kind, available in there.items() if available}
    if name == "auto":
        name = os.environ.get("WORKBOOK_DEVICE") or next(kind for kind, available in there.items() if available)
    kind = name.split(":")[0]
    if kind not in there:
        raise ValueError(f"There is no device called {name!r}; choose auto, cpu, cuda or mps.")
    if not there[kind]:
        raise ValueError(
            f"{name} was asked for, but PyTorch finds no such device here; use --device cpu or leave it away."
        )
    return torch.device(name)


def works(kind):
    """Whether a device that PyTorch says is there computes; a GPU older than the build's kernels does not."""
    try:
        return torch.ones(1, device=kind).add(1).item() == 2
    except (AssertionError, RuntimeError):
        return False


def memory_layout(device):
    """How maps lie in memory: channels last, the faster; but on Apple's GPUs PyTorch 2.13 cannot differentiate that.

    Source: https://github.com/pytorch/pytorch/pull/188371
    """
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def matrix_peak(device, dtype=torch.float32, side=1024, repeats=4):
    """The best speed, in GFLOP/s, of `repeats` products of two side x side matrices: a yardstick, no bound."""
    a = torch.ones(side, side, device=device, dtype=dtype)
    seconds = []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        a @ a
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds) / 1e9


DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


def choose_precision(device, name="auto"):
    """ "bf16" or "float32", and one sentence that gives the reason.

    On a CPU both are tried on a matrix product: bf16 is slower than float32 wherever the processor has no instructions
    for it. Raises ValueError for an unknown name.
    """
    if name in DTYPES:
        return name, f"{name} as asked for"
    if name != "auto":
        raise ValueError(f"There is no precision called {name!r}; choose auto, bf16 or float32.")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "bf16, which this GPU computes natively"
        return "float32", "float32, as this GPU has no bf16 units"
    if device.type == "mps":
        return "float32", "float32, the safe choice on Apple GPUs"
    single, half = (matrix_peak(device, dtype, side=768, repeats=3) for dtype in (torch.float32, torch.bfloat16))
    if half > 1.2 * single:
        return "bf16", "bf16, whose matrix product is faster here than float32's"
    return "float32", "float32, as this processor has no fast bf16 matrix product"


def synchronise(device):
    """Wait until the device has done all that it was asked to; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


# ---------------------------------------------------------------------------------------------------------------
# Images
# ---------------------------------------------------------------------------------------------------------------


def to_tensor(images):
    """Images (n, height, width, 3), uint8, numpy, as a tensor (n, 3, height, width) on the same memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def hold_out(labels, per_class=500):
    """Two index tensors, training and validation: the last `per_class` images of every class are held out.

    Raises ValueError when a class has no more than that.
    """
    held = []
    for label in labels.unique().tolist():
        of_class = torch.nonzero(labels == label)[:, 0]
        if len(of_class) <= per_class:
            raise ValueError(
                f"Class {label} has {len(of_class)} training images, "
                f"too few to hold out {per_class} of them; give more data or leave --validate away."
            )
        held.append(of_class[-per_class:])
    validation = torch.cat(held).sort().values
    training = torch.ones(len(labels), dtype=torch.bool)
    training[validation] = False
    return torch.nonzero(training)[:, 0], validation


class PaddedImages:
    """All images of one size on the device, with a reflected margin, from which shifted batches are cut.

    `images`: uint8 (n, 3, height, width); `size`: pixels a side to shrink them to; `shift`: the largest shift in
    pixels of a 32 x 32 image, in proportion at other sizes.
    """

    def __init__(self, images, size, shift, device):
        self.size, self.margin = size, round(shift * size / 32)
        side = torch.arange(-self.margin, size + self.margin).abs()
        side = torch.minimum(side, 2 * (size - 1) - side)  # 2 1 | 0 1 2 ... 31 | 30 29
        blocks = []
        for block in images.split(5000):  # in blocks, which keeps the memory in between small
            if block.shape[-1] != size:
                block = F.interpolate(block, (size, size), mode="bilinear", antialias=True)
            block = block.permute(0, 2, 3, 1)  # colours last: a pixel is three bytes in a row
            blocks.append(block[:, side][:, :, side])
        self.padded = torch.cat(blocks).to(device)

    def batch(self, indices, flips, shifts, holes=None, hole_size=0):
        """Images (n, 3, size, size), uint8, in the device's memory_layout, cut out in a single indexing operation.

        `indices` (n,); `flips` (n,) bool; `shifts` (n, 2) in 0..2 margin; `holes` (n, 2), the top left corners of the
        squares of `hole_size` pixels that cutout blackens to a middle grey.
        """
        side = torch.arange(self.size, device=indices.device)
        rows = shifts[:, :1] + side
        columns = shifts[:, 1:] + torch.where(flips[:, None], side.flip(0), side)
        cut = self.padded[indices[:, None, None], rows[:, :, None], columns[:, None, :]]
        if hole_size:
            inside = [(side >= corner[:, None]) & (side < corner[:, None] + hole_size) for corner in holes.unbind(1)]
            cut[inside[0][:, :, None] & inside[1][:, None, :]] = 120  # the mean of CIFAR-10
        return cut.permute(0, 3, 1, 2).contiguous(memory_format=memory_layout(cut.device))


# ---------------------------------------------------------------------------------------------------------------
# Optimizers
# ---------------------------------------------------------------------------------------------------------------


def orthogonalise(matrix, steps=3):
    """The matrix with its singular values brought towards 1: U V^T, roughly, where it was U S V^T.

    Three steps bring those above a fiftieth of the matrix's norm to 0.68 to 1.21, and leave fainter ones smaller.
    Newton-Schulz iteration with an odd polynomial of degree 5, a x + b x^3 + c x^5 on every singular value, whose
    coefficients give up exactness at 1 for speed near 0. Source: the Muon page.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)  # no singular value above 1, where the polynomial is meant for
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, then orthogonalise: every direction of a filter bank moves at the same speed, also the faint ones.

    Before each step the weights are scaled to norm sqrt(number of filters): batch normalisation undoes any scale, and
    at a fixed one the learning rate keeps its meaning. Momentum is Nesterov's: the gradient looks one step ahead.
    `dtype` is what it orthogonalises in: the result is rough anyway, and bfloat16 takes half the time of float32.
    """

    def __init__(self, parameters, lr, momentum, dtype=torch.float32):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is None:
                    continue
                state = self.state[weights]
                if not state:
                    state["velocity"] = torch.zeros_like(weights)
                velocity = state["velocity"].mul_(group["momentum"]).add_(weights.grad)
                ahead = weights.grad + group["momentum"] * velocity
                weights.mul_(len(weights) ** 0.5 / weights.norm())
                turn = orthogonalise(ahead.flatten(1).to(self.dtype))
                weights.sub_(group["lr"] * turn.view_as(weights))


def learning_rate(progress, warmup):
    """The factor on every learning rate when the part `progress` (0..1) of the steps is done: up to 1, then down to 0.

    Linear both ways; `warmup` is the part of the steps on the way up.
    """
    if progress < warmup:
        return progress / warmup
    return (1 - progress) / (1 - warmup)


# ---------------------------------------------------------------------------------------------------------------
# The training
# ---------------------------------------------------------------------------------------------------------------


def stretched(values, epoch, epochs):
    """The entry of `values` for this epoch (from 0), when the list is stretched over all epochs."""
    return values[min(len(values) - 1, epoch * len(values) // epochs)]


class Training:
    """A training under way: the network, its optimizers, its images and its random numbers.

    `configuration` is a flat dictionary (p2.py explains every entry); `images` uint8 (n, 3, 32, 32); `labels` (n,)
    whole numbers. `rank` and `world` are this process' number and how many there are. Raises ValueError for a batch
    larger than the data.
    """

    def __init__(self, configuration, images, labels, seed=0, device=None, precision="float32", rank=0, world=1):
        self.configuration, self.seed, self.precision = configuration, seed, precision
        self.device, self.rank, self.world = device or torch.device("cpu"), rank, world
        self.images, self.labels = images, labels.to(self.device, torch.long)
        batch_size, c = configuration["batch_size"], configuration
        if not 1 <= batch_size <= len(labels):
            raise ValueError(
                f"The batch size is {batch_size}, but there are {len(labels)} training images; "
                f"choose a --batch-size from 1 to {len(labels)}."
            )
        if batch_size % world:
            raise ValueError(
                f"A batch of {batch_size} cannot be shared equally by {world} processes; choose a multiple."
            )
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.flips = (torch.rand(len(labels), generator=self.generator) < 0.5).to(self.device)
        self.network = cnn.CNN(tuple(c["widths"]), c["depth"])
        self.network.fit_input(images[:: max(1, len(images) // 5000)])
        self.network.to(self.device, memory_format=memory_layout(self.device))
        trained = [p for p in self.network.parameters() if p.requires_grad]
        filters = [p for p in trained if p.dim() == 4]
        self.muon = Muon(filters, c["filter_lr"], c["filter_momentum"], DTYPES[precision])
        # The loss is a sum over the batch, so that these learning rates mean the same at every batch size, and the
        # decay is per image too: what a weight loses by it in an epoch does not depend on the batch size.
        decay = c["weight_decay"] * batch_size
        groups = [
            {"params": [p for p in trained if p.dim() == 1], "lr": c["bias_lr"], "weight_decay": decay / c["bias_lr"]},
            {"params": [self.network.head.weight], "lr": c["head_lr"], "weight_decay": decay / c["head_lr"]},
        ]
        self.sgd = torch.optim.SGD(groups, lr=0.0, momentum=c["momentum"], nesterov=c["momentum"] > 0)
        self.peak_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in (self.muon, self.sgd)]
        # The loss of each image when it was last seen; one that was never seen comes before all others.
        self.difficulty = torch.full((len(labels),), torch.inf)
        self.epoch, self.sized = 0, None

    # -- the plan ------------------------------------------------------------------------------------------------

    def size(self, epoch):
        """Pixels a side of the images in this epoch (from 0)."""
        return stretched(self.configuration["sizes"], epoch, self.configuration["epochs"])

    def steps(self, epoch):
        """How many batches this epoch has; images that fill no batch wait for another epoch."""
        kept = stretched(self.configuration["keep"], epoch, self.configuration["epochs"])
        return max(1, int(kept * len(self.labels) + 0.5) // self.configuration["batch_size"])

    def autocast(self):
        """The context in which convolutions and matrix products run in the chosen precision."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    # -- one epoch -----------------------------------------------------------------------------------------------

    def run_epoch(self, on_step=None):
        """Train one epoch and return what happened, as a dictionary of plain numbers.

        `on_step(done, steps, loss, accuracy)` is called now and then with means so far. Raises ValueError when the loss
        grows out of all bounds.
        """
        c, epoch = self.configuration, self.epoch
        start = time.perf_counter()
        size, steps = self.size(epoch), self.steps(epoch)
        if self.sized is None or self.sized.size != size:
            self.sized = PaddedImages(self.images, size, c["translate"], self.device)
        self.network.train()
        self.network.whitening.bias.requires_grad = epoch < c["whitening_epochs"] * c["epochs"]
        self.network.whitening.bias.grad = None
        network = DistributedDataParallel(self.network) if self.world > 1 else self.network
        plan = [self.steps(e) for e in range(c["epochs"])]
        before, total = sum(plan[:epoch]), sum(plan)
        order = self.order(steps)
        seen = torch.zeros(len(self.labels), device=self.device)  # there, as NCCL reduces nothing else
        exact = torch.float32 if self.device.type == "mps" else torch.float64  # Apple's GPUs have no double precision
        sums = torch.zeros(3, dtype=exact, device=self.device)  # loss, right answers, images
        for step in range(steps):
            indices, images = self.draw_batch(order[step * c["batch_size"] : (step + 1) * c["batch_size"]], size)
            labels = self.labels[indices]
            logits, losses = self.gradients(network, images, labels)
            self.set_learning_rates(learning_rate((before + step) / total, c["warmup"]))
            self.muon.step()
            self.sgd.step()
            self.network.zero_grad(set_to_none=True)
            if min(c["keep"]) < 1:
                seen[indices] = losses.clamp_min(1e-12)  # 0 stands for an image not seen
            sums += torch.stack([losses.sum(), (logits.argmax(1) == labels).sum(), losses.new_tensor(len(labels))])
            if on_step and (step % 5 == 4 or step == steps - 1):
                loss, right, count = sums.tolist()
                on_step(step + 1, steps, loss / count, right / count)
        synchronise(self.device)
        seconds = time.perf_counter() - start
        if self.world > 1:
            torch.distributed.all_reduce(sums)
            torch.distributed.all_reduce(seen)
        seen = seen.cpu()
        self.difficulty = torch.where(seen > 0, seen, self.difficulty)
        loss, right, count = sums.tolist()
        if not loss / count < 1000:  # also when it is no number at all
            raise ValueError(
                f"The loss rose to {loss / count:.3g} in epoch {epoch + 1}; lower the learning rates and train again."
            )
        self.epoch += 1
        flops = cnn.training_flops(self.network, size) * count
        return {
            "epoch": self.epoch,
            "size": size,
            "images": int(count),
            "loss": loss / count,
            "accuracy": right / count,
            "seconds": seconds,
            "tflop": flops / 1e12,
            "gflops": flops / seconds / 1e9,
        }

    def gradients(self, network, images, labels):
        """Add the gradients of a batch to the parameters; return its logits and losses.

        The batch passes through in parts, of `part` images at most, that fit the processor's cache: memory, not
        arithmetic, bounds pooling, normalisation and GELU. Gradients of sums add up to the whole batch's. Batch
        normalisation sees one part at a time (ghost batch normalisation: E. Hoffer et al., 2017, arXiv:1705.08741).
        """
        logits, losses = [], []
        count = -(-len(images) // self.configuration["part"])
        for part, answers in zip(images.tensor_split(count), labels.tensor_split(count), strict=True):
            # Processes need to exchange gradients once a batch, not once a part.
            alone = self.world > 1 and len(logits) < count - 1
            with network.no_sync() if alone else contextlib.nullcontext():
                with self.autocast():
                    logits.append(network(part))
                smoothing = self.configuration["label_smoothing"]
                losses.append(F.cross_entropy(logits[-1], answers, label_smoothing=smoothing, reduction="none"))
                # DistributedDataParallel takes the mean over the processes, where the sum is meant.
                (losses[-1].sum() * self.world).backward()
        return torch.cat(logits).detach(), torch.cat(losses).detach()

    def order(self, steps):
        """Indices of this epoch's images, shuffled: all of them, or those whose loss was the largest last time."""
        count = steps * self.configuration["batch_size"]
        shuffled = torch.randperm(len(self.labels), generator=self.generator)
        if self.epoch and stretched(self.configuration["keep"], self.epoch, self.configuration["epochs"]) < 1:
            hardest = torch.zeros(len(self.labels), dtype=torch.bool)
            hardest[self.difficulty.argsort(descending=True, stable=True)[:count]] = True
            shuffled = shuffled[hardest[shuffled]]
        return shuffled[:count]

    def draw_batch(self, indices, size):
        """This process' share of a batch: (indices, images), the images flipped, shifted and cut out at random."""
        c, margin = self.configuration, self.sized.margin
        hole = round(c["cutout"] * size / 32)
        shifts = torch.randint(0, 2 * margin + 1, (len(indices), 2), generator=self.generator)
        holes = torch.randint(0, size - hole + 1, (len(indices), 2), generator=self.generator) if hole else None
        share = slice(self.rank * len(indices) // self.world, (self.rank + 1) * len(indices) // self.world)
        indices, shifts = indices[share].to(self.device), shifts[share].to(self.device)
        holes = holes[share].to(self.device) if hole else None
        # Every other epoch all images are mirrored: in two epochs each is seen both ways, which chance alone
        # would grant to only half of them.
        flips = self.flips[indices] ^ bool(self.epoch % 2) if c["flip"] else torch.zeros_like(self.flips[indices])
        return indices, self.sized.batch(indices, flips, shifts, holes, hole)

    def set_learning_rates(self, factor):
        for optimizer, rates in zip((self.muon, self.sgd), self.peak_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = factor * rate

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def state(self):
        """Everything that the next epoch depends on, as tensors and plain values: what a checkpoint holds."""
        return {
            "configuration": self.configuration,
            "seed": self.seed,
            "precision": self.precision,
            "world": self.world,
            "images": len(self.labels),
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "muon": self.muon.state_dict(),
            "sgd": self.sgd.state_dict(),
            "difficulty": self.difficulty,
            "generator": self.generator.get_state(),
            "torch_generator": torch.get_rng_state(),
        }

    def restore(self, state, source="The checkpoint"):
        """Go back to a state that `state` gave; raises ValueError, in one sentence, for one of another training."""
        try:
            if not isinstance(state, dict):
                raise TypeError
            for key, mine in (
                ("configuration", self.configuration),
                ("seed", self.seed),
                ("world", self.world),
                ("images", len(self.labels)),
            ):
                if state[key] != mine:
                    raise ValueError(
                        f"{source} belongs to another training ({difference(key, state[key], mine)}); "
                        "resume with the options it was started with, or leave --resume away to start anew."
                    )
            self.network.load_state_dict(state["network"])
            self.muon.load_state_dict(state["muon"])
            self.sgd.load_state_dict(state["sgd"])
            self.difficulty = state["difficulty"]
            self.generator.set_state(state["generator"])
            torch.set_rng_state(state["torch_generator"])
            self.epoch, self.precision = state["epoch"], state["precision"]
            self.muon.dtype = DTYPES[self.precision]
        except (KeyError, TypeError, RuntimeError, AttributeError):
            raise ValueError(
                f"{source} is not a checkpoint of this program; give one that p2.py has written, "
                "or leave --resume away to start anew."
            ) from None


def difference(key, theirs, mine):
    """In words, the first thing in which two settings differ."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        key = next(k for k in sorted(theirs.keys() | mine.keys()) if theirs.get(k) != mine.get(k))
        theirs, mine = theirs.get(key), mine.get(key)
    return f"its {key} is {theirs}, not {mine}"


# ---------------------------------------------------------------------------------------------------------------
# Evaluation
# ---------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def predict(network, images, average=False, batch_size=250, precision="float32"):
    """Probabilities (n, classes) of images (n, 3, height, width), on the CPU.

    With `average`, the mean of the logits over six views: as it is, shifted by a pixel up left and down right, and the
    mirror image of each.
    """
    was_training, device = network.training, network.mean.device
    network.eval()
    parts = []
    for block in images.split(batch_size):
        views = [block]
        if average:
            padded = F.pad(block.float(), [1] * 4, mode="reflect").to(block.dtype)
            height, width = block.shape[2:]
            views += [padded[:, :, :height, :width], padded[:, :, 2:, 2:]]
            views += [view.flip(3) for view in views]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = [network(view.to(device).contiguous(memory_format=memory_layout(device))) for view in views]
        parts.append(torch.stack(logits).mean(0).float().softmax(1).cpu())
    network.train(was_training)
    return torch.cat(parts)


def evaluate(network, images, labels, average=False, precision="float32"):
    """(mean cross-entropy, accuracy, probabilities (n, classes)) on labelled images."""
    probabilities = predict(network, images, average, precision=precision)
    labels = labels.to(torch.long)
    loss = F.nll_loss(probabilities.clamp_min(1e-12).log(), labels).item()
    return loss, (probabilities.argmax(1) == labels).double().mean().item(), probabilities
