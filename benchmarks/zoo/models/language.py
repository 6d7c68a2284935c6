"""Language models of `transformers`, their configurations made small."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from benchmarks.zoo.models.seeded import mask, seed, settled, tokens

_WORDS = 120
_ENCODER = {
    "vocab_size": _WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
_CAUSAL = {**_ENCODER, "use_cache": False}


class Logits(nn.Module):
    """A causal language model asked without its cache."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give logits for every place."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits


def _made(model: type[Any], config: Any) -> tuple[nn.Module, Any]:
    seed()
    return settled(model(config)), {"input_ids": tokens(3, 9, _WORDS), "attention_mask": mask(3, 9)}


def _causal(model: type[Any], config: Any) -> tuple[nn.Module, Any]:
    made, example = _made(model, config)
    return Logits(made).eval(), example


def bert() -> object:
    """Hidden states and a pooled one."""
    return _made(transformers.BertModel, transformers.BertConfig(**_ENCODER))


def roberta() -> object:
    """A masked language model."""
    return _made(transformers.RobertaForMaskedLM, transformers.RobertaConfig(**_ENCODER))


def albert() -> object:
    """One layer, used twice; a classifier."""
    config = transformers.AlbertConfig(**_ENCODER, embedding_size=16, num_labels=3)
    return _made(transformers.AlbertForSequenceClassification, config)


def distilbert() -> object:
    """Answers as start and end of a span."""
    config = transformers.DistilBertConfig(
        vocab_size=_WORDS, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64
    )
    return _made(transformers.DistilBertForQuestionAnswering, config)


def electra() -> object:
    """A discriminator."""
    return _made(transformers.ElectraForPreTraining, transformers.ElectraConfig(**_ENCODER, embedding_size=16))


def deberta() -> object:
    """Disentangled attention over relative positions."""
    return _made(
        transformers.DebertaV2Model,
        transformers.DebertaV2Config(
            **_ENCODER, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=16
        ),
    )


def mpnet() -> object:
    """Relative positions, a tag for every word."""
    return _made(transformers.MPNetForTokenClassification, transformers.MPNetConfig(**_ENCODER, num_labels=5))


def squeezebert() -> object:
    """Grouped convolutions for dense layers."""
    return _made(transformers.SqueezeBertModel, transformers.SqueezeBertConfig(**_ENCODER, embedding_size=32))


def xlm_roberta() -> object:
    """A tag for every word."""
    return _made(transformers.XLMRobertaForTokenClassification, transformers.XLMRobertaConfig(**_ENCODER, num_labels=4))


def gpt2() -> object:
    """A causal decoder."""
    config = transformers.GPT2Config(vocab_size=_WORDS, n_embd=32, n_layer=2, n_head=4, n_positions=64, use_cache=False)
    return _causal(transformers.GPT2LMHeadModel, config)


def opt() -> object:
    """A causal decoder with learned positions that the mask shifts."""
    config = transformers.OPTConfig(
        vocab_size=_WORDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        max_position_embeddings=64,
        word_embed_proj_dim=32,
        use_cache=False,
    )
    return _causal(transformers.OPTForCausalLM, config)


def llama() -> object:
    """Rotary positions, grouped queries, RMS norm, SwiGLU."""
    return _causal(transformers.LlamaForCausalLM, transformers.LlamaConfig(**_CAUSAL, num_key_value_heads=2))


def gpt_neox() -> object:
    """Partly rotary positions, attention and dense layer side by side."""
    return _causal(transformers.GPTNeoXForCausalLM, transformers.GPTNeoXConfig(**_CAUSAL))


def bloom() -> object:
    """Positions by linear biases."""
    config = transformers.BloomConfig(vocab_size=_WORDS, hidden_size=32, n_layer=2, n_head=4, use_cache=False)
    return _causal(transformers.BloomForCausalLM, config)


def t5_encoder() -> object:
    """Relative positions in buckets."""
    config = transformers.T5Config(vocab_size=_WORDS, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return _made(transformers.T5EncoderModel, config)


def bart_encoder() -> object:
    """The encoder of a summariser."""
    config = transformers.BartConfig(
        vocab_size=_WORDS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
    )
    made, example = _made(transformers.BartModel, config)
    return made.get_encoder(), example  # type: ignore[operator]


def clip_text() -> object:
    """The text side of CLIP, pooled where its last word is."""
    config = transformers.CLIPTextConfig(**_ENCODER, projection_dim=16, eos_token_id=119)
    return _made(transformers.CLIPTextModelWithProjection, config)
