"""How does ONNX Runtime run a network beside the threads that decode images?"""

from __future__ import annotations

from typing import Any

import torch


def session_options() -> Any:
    """`onnxruntime.SessionOptions`: as many threads as PyTorch has, one operator at a time, errors alone reported."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait for the next batch take the cores that decode it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
