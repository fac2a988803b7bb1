"""Times a volume's way through the network in PyTorch and ONNX Runtime: the peer of crates/train/benches/network.

Arguments: the case's file and `eager`, `compile` or `onnx`. Every line read is one pass over the volume, from
prepared slices to class indices, answered with its seconds and the voxels of each class.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from bench_server import load, serve
from torch import Tensor
from torch_network import Inference

SLICES_AT_ONCE = 8


def onnx_session(network: Inference, example: Tensor) -> Callable[[Tensor], Tensor]:
    """The exported network in ONNX Runtime, all of its optimisations on."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        shape = {"x": {0: torch.export.Dim("slices", min=1, max=64)}}
        torch.onnx.export(network, (example,), path, input_names=["x"], dynamo=True, dynamic_shapes=shape, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def main() -> None:
    path, mode = sys.argv[1:]
    weights, data = load(path)
    network = Inference(weights, 0).eval()
    classes = len(weights["output"])
    images = data["images.0"].contiguous(memory_format=torch.channels_last)
    example = images[:SLICES_AT_ONCE].contiguous()
    if mode == "compile":
        torch._inductor.config.freezing = True
        forward = torch.compile(network)
    elif mode == "onnx":
        forward = onnx_session(network, example)
    else:
        forward = network

    def segment() -> Tensor:
        return torch.cat([forward(part).argmax(1).byte() for part in images.split(SLICES_AT_ONCE)])

    serve(segment, lambda indices: torch.bincount(indices.flatten(), minlength=classes).tolist())


if __name__ == "__main__":
    with torch.inference_mode(mode="onnx" not in sys.argv):
        main()
