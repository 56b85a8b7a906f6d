"""Training on a GPU without waiting for Python: a step of a small network is some hundred kernels of a few
microseconds each, and launching them one by one takes longer than running them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Inside, a GPU works in a stream of its own, where work can be captured; afterwards it has finished."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.synchronize(device)
    with torch.cuda.stream(torch.cuda.Stream(device)):
        yield
    torch.cuda.synchronize(device)


class Captured:
    """work(indices), batch by batch: on a GPU one launch for each batch (a CUDA graph), elsewhere as it is.

    begin(work) names the work of an epoch. The first batch runs as it is, and warms up; the second is
    captured; all of the same size are replayed. A batch of another size runs as it is. The work must read
    nothing back, and what it returns is overwritten by the next batch. Must run inside `own_stream`.
    """

    def __init__(self, device: torch.device):
        self.on_gpu = device.type == "cuda"
        self.graph = self.found = None
        self.pool = torch.cuda.graph_pool_handle() if self.on_gpu else None

    def begin(self, work: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        self.work, self.indices, self.stale = work, None, True

    def __call__(self, indices: Tensor) -> tuple[Tensor, ...]:
        if self.indices is None:
            self.indices = indices.clone() if self.on_gpu else indices
            return self.work(indices)
        if not self.on_gpu or len(indices) != len(self.indices):
            return self.work(indices)
        self.indices.copy_(indices)
        if self.stale:
            self._capture()
        self.graph.replay()
        return self.found

    def _capture(self) -> None:
        # torch.cuda.graph would do this too, and collect garbage first, which takes longer than an epoch may.
        # The last epoch's graph lives on meanwhile: it keeps the memory that both use.
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(self.pool, "thread_local")
        try:
            self.found = self.work(self.indices)
        finally:
            graph.capture_end()
        self.graph, self.stale = graph, False
