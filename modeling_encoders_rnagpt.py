"""RNA encoders that transformers does not have: RiNALMo and ERNIE-RNA, written after their papers.

Each gives one vector per token. They are here to be read from, frozen or trained without dropout.
The Hub ships this file with every model, and with a converted encoder.
"""

import math
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask, packed_sequence_mask_function
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_encoders_rnagpt import ErnieRnaConfig, RinalmoConfig

# The share of tokens that training zeroed: 15 % were chosen, of which 80 % were masked.
_MASKED_IN_TRAINING = 0.15 * 0.8


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention written out; tensors are (batch, heads, sequence, head size)."""
    scores = query @ key.transpose(-1, -2) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(-1)
    return (weights @ value).transpose(1, 2), weights


def _by_head(projected: torch.Tensor, parts: int, heads: int) -> tuple[torch.Tensor, ...]:
    """Queries, keys and values (batch, heads, sequence, head size) that were projected at once."""
    return projected.unflatten(-1, (parts, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


class RinalmoLayer(nn.Module):
    """Attention with rotary positions, then a gated network. Both begin with a norm; what the
    attention is added to is the normalised input."""

    is_causal = False

    def __init__(self, config: RinalmoConfig) -> None:
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self.config = config
        self.attention_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.qkv = nn.Linear(size, 3 * size, bias=False)
        self.out = nn.Linear(size, size, bias=False)
        self.feed_forward_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.gate = nn.Linear(size, inner)
        self.gate_slope = nn.Parameter(torch.ones(1)) if config.learn_gate_slope else None
        self.up = nn.Linear(size, inner)
        self.down = nn.Linear(inner, size)

    def forward(
        self, hidden_states: torch.Tensor, mask: Any, rotation: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """(batch, sequence, hidden) to the same."""
        hidden_states = self.attention_norm(hidden_states)
        hidden_states = hidden_states + self._attention(hidden_states, mask, rotation)
        inner = self.feed_forward_norm(hidden_states)
        return hidden_states + self.down(self._swish(self.gate(inner)) * self.up(inner))

    def _swish(self, gate: torch.Tensor) -> torch.Tensor:
        """arXiv 1710.05941."""
        if self.gate_slope is None:
            return F.silu(gate)
        return gate * torch.sigmoid(self.gate_slope * gate)

    def _attention(
        self, inputs: torch.Tensor, mask: Any, rotation: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        query, key, value = _by_head(self.qkv(inputs), 3, self.config.num_attention_heads)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, _attend)
        vectors, _ = attend(
            self,
            _rotated(query, *rotation),
            _rotated(key, *rotation),
            value,
            mask,
            scaling=query.shape[-1] ** -0.5,
            dropout=0.0,
        )
        return self.out(vectors.flatten(2))


def _rotation(
    places: torch.Tensor, size: int, base: float, dtype: torch.dtype
) -> tuple[torch.Tensor, ...]:
    """Cosines and sines (..., size / 2) of the angles of rotary positions (arXiv 2104.09864).

    In float32 whatever the weights are: bfloat16 tells no positions beyond 256 apart.
    """
    steps = torch.arange(0, size, 2, device=places.device, dtype=torch.float32)
    angles = places.float().unsqueeze(-1) * (1.0 / base ** (steps / size))
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotated(vectors: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn dimension i with i + size / 2, as a pair, by the angle of its position."""
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class RnaEncoderModel(PreTrainedModel):
    """What both encoders share: which tokens are padding, and how random weights begin."""

    main_input_name = "input_ids"
    _supports_sdpa = True
    # What fits into a GPU that holds a language model too, whatever the lengths.
    max_tokens_at_once = 65_536

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings = value

    def _token_mask(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """True where a token is none of padding: (batch, sequence)."""
        if attention_mask is None:
            return input_ids.ne(self.config.pad_token_id)
        if attention_mask.shape != input_ids.shape:
            raise ValueError(
                f"attention_mask has the shape {tuple(attention_mask.shape)}; expected that of "
                f"input_ids, {tuple(input_ids.shape)}."
            )
        return attention_mask.bool()


class RinalmoModel(RnaEncoderModel):
    """RiNALMo without its head for masked tokens."""

    config: RinalmoConfig
    _no_split_modules: ClassVar = ["RinalmoLayer"]  # type: ignore[misc]
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: RinalmoConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(RinalmoLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RinalmoLayer) and module.gate_slope is not None:
            nn.init.ones_(module.gate_slope)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
        return_dict: bool = True,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Encode tokens of any number.

        Args:
            input_ids: (batch, sequence), with `<cls>` before and `<eos>` after each RNA.
            attention_mask: (batch, sequence), 1 for tokens and 0 for padding after them; by default
                all but padding.
            position_ids: (batch, sequence), for several RNAs in a row: the place of each token in
                its own RNA, so that each 0 begins another one. RNAs of a row do not see each other.
            output_hidden_states: give the vectors before and after each layer too.
            return_dict: give a `BaseModelOutput`, not a tuple.

        Returns:
            `last_hidden_state` is (batch, sequence, hidden).
        """
        mask = self._token_mask(input_ids, attention_mask)
        rnas = None if position_ids is None else position_ids.eq(0).cumsum(-1)
        hidden_states = self.embeddings(input_ids)
        if self.config.token_dropout:
            hidden_states = self._drop_masked(hidden_states, input_ids, mask, rnas)
        rotation = self._rotation(hidden_states, position_ids)
        apart = None if rnas is None else packed_sequence_mask_function(rnas)
        keys = create_bidirectional_mask(self.config, hidden_states, mask, and_mask_function=apart)
        states = [hidden_states]
        for layer in self.layers:
            states.append(layer(states[-1], keys, rotation))
            if not output_hidden_states:
                del states[0]
        return _output(self.norm(states[-1]), states, output_hidden_states, return_dict)

    def _rotation(
        self, hidden_states: torch.Tensor, position_ids: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        """Cosines and sines, of (sequence, half a head) or (batch, 1, sequence, half a head)."""
        places = torch.arange(hidden_states.shape[1], device=hidden_states.device)
        if position_ids is not None:
            places = position_ids.unsqueeze(1)
        head_size = self.config.hidden_size // self.config.num_attention_heads
        return _rotation(places, head_size, self.config.rotary_base, hidden_states.dtype)

    def _drop_masked(
        self,
        embedded: torch.Tensor,
        input_ids: torch.Tensor,
        mask: torch.Tensor,
        rnas: torch.Tensor | None,
    ) -> torch.Tensor:
        """Zero masked tokens, and scale the others to the sum that training knew."""
        masked = input_ids.eq(self.config.mask_token_id)
        if rnas is None:
            share = masked.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True)
        else:
            counts = torch.zeros(2, len(rnas), input_ids.shape[1] + 1, device=rnas.device)
            hidden, all_tokens = (
                count.scatter_add(1, rnas, chosen.float()).gather(1, rnas)
                for count, chosen in zip(counts, (masked, mask), strict=True)
            )
            share = hidden / all_tokens
        scale = (1 - _MASKED_IN_TRAINING) / (1 - share)
        return embedded.masked_fill(masked.unsqueeze(-1), 0.0) * scale.unsqueeze(-1).to(
            embedded.dtype
        )


class ErnieRnaLayer(nn.Module):
    """Attention whose scores are added to those of the layers before, then a plain network; a norm
    follows each."""

    def __init__(self, config: ErnieRnaConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.qkv = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        self.attention_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.up = nn.Linear(size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, size)
        self.feed_forward_norm = nn.LayerNorm(size, config.layer_norm_eps)

    def forward(
        self, hidden_states: torch.Tensor, bias: torch.Tensor, is_last: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, sequence, hidden) and scores (batch, heads, sequence, sequence) to the same."""
        query, key, value = _by_head(self.qkv(hidden_states), 3, self.config.num_attention_heads)
        scaling = query.shape[-1] ** -0.5
        if self.config._attn_implementation == "sdpa":
            vectors = F.scaled_dot_product_attention(
                query, key, value, attn_mask=bias.to(query.dtype), scale=scaling
            ).transpose(1, 2)
            if not is_last:
                bias = bias + query @ key.transpose(-1, -2) * scaling
        else:
            bias = bias + query @ key.transpose(-1, -2) * scaling
            vectors = (bias.softmax(-1).to(value.dtype) @ value).transpose(1, 2)
        hidden_states = self.attention_norm(hidden_states + self.out(vectors.flatten(2)))
        inner = self.down(F.gelu(self.up(hidden_states)))
        return self.feed_forward_norm(hidden_states + inner), bias


class ErnieRnaModel(RnaEncoderModel):
    """ERNIE-RNA without its heads.

    Which nucleotides may pair goes into the attention as a bias of the first layer, and the scores
    of each layer are the bias of the next. So all scores have to be kept: fused attention that
    never writes them down cannot be had.
    """

    config: ErnieRnaConfig
    _no_split_modules: ClassVar = ["ErnieRnaLayer"]  # type: ignore[misc]
    # The scores of 8 RNAs of 1,022 nt in 12 heads take 0.4 GB, and twice that on the way.
    max_tokens_at_once = 8192

    def __init__(self, config: ErnieRnaConfig) -> None:
        super().__init__(config)
        size, pad = config.hidden_size, config.pad_token_id
        self.embeddings = nn.Embedding(config.vocab_size, size, pad)
        if config.position_embedding_type == "learned":
            # fairseq counts positions from the padding's id + 1; the rows before are no token's.
            rows = config.max_position_embeddings + pad + 1
            self.positions = nn.Embedding(rows, size, pad)
        self.norm = nn.LayerNorm(size, config.layer_norm_eps) if config.embedding_norm else None
        self.pair_in = nn.Linear(1, config.pair_hidden_size)
        self.pair_out = nn.Linear(config.pair_hidden_size, config.num_attention_heads)
        self.layers = nn.ModuleList(ErnieRnaLayer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        output_hidden_states: bool = False,
        return_dict: bool = True,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Encode up to `max_position_embeddings` tokens; see `RinalmoModel.forward`.

        Raises:
            ValueError: for more tokens.
        """
        longest = self.config.max_position_embeddings
        if input_ids.shape[1] > longest:
            raise ValueError(
                f"ERNIE-RNA reads {longest:,} tokens at once, both ends of a sequence among them, "
                f"and got {input_ids.shape[1]:,}. Give it windows of at most {longest - 2:,} nt, "
                "as RNA-GPT's encode_rna does."
            )
        mask = self._token_mask(input_ids, attention_mask)
        hidden_states = self.embeddings(input_ids) + self._position_vectors(mask)
        if self.norm is not None:
            hidden_states = self.norm(hidden_states)
        states = [hidden_states.masked_fill(~mask.unsqueeze(-1), 0.0)]
        bias = self._pair_bias(input_ids)
        bias = bias.masked_fill(~mask[:, None, None], torch.finfo(bias.dtype).min)
        for number, layer in enumerate(self.layers, start=1):
            vectors, bias = layer(states[-1], bias, number == len(self.layers))
            states.append(vectors)
            if not output_hidden_states:
                del states[0]
        return _output(states[-1], states, output_hidden_states, return_dict)

    def _position_vectors(self, mask: torch.Tensor) -> torch.Tensor:
        """(batch, sequence, hidden), of tokens that are counted without the padding."""
        pad: Any = self.config.pad_token_id
        places = mask.long().cumsum(1) * mask + pad
        if self.config.position_embedding_type == "learned":
            return self.positions(places)
        half = self.config.hidden_size // 2
        steps = torch.arange(half, device=mask.device, dtype=torch.float32)
        angles = places.unsqueeze(-1) * (steps * -(math.log(10_000) / (half - 1))).exp()
        vectors = torch.cat([angles.sin(), angles.cos()], dim=-1)
        missing = self.config.hidden_size - 2 * half
        dtype: Any = self.embeddings.weight.dtype
        return F.pad(vectors, (0, missing)).to(dtype)

    def _pair_bias(self, input_ids: torch.Tensor) -> torch.Tensor:
        """What each head's scores begin with: (batch, heads, sequence, sequence), float32.

        The network is run over pairs of tokens of the alphabet, which are few, and each pair of
        positions looks its own up.
        """
        config: Any = self.config  # whose defaults are set by now
        alphabet, size = config.rna_alphabet, config.vocab_size
        scores = torch.zeros(size, size)
        for pair, score in config.pair_scores.items():
            letters = [alphabet.get("letters", {}).get(letter, letter) for letter in pair]
            first, second = map(alphabet["tokens"].index, letters)
            scores[first, second] = scores[second, first] = score
        weight = self.pair_in.weight
        scores = scores.to(weight.device, weight.dtype).view(-1, 1)
        biases = self.pair_out(F.gelu(self.pair_in(scores))).float()
        pairs = input_ids[:, :, None] * size + input_ids[:, None, :]
        return F.embedding(pairs, biases).permute(0, 3, 1, 2)


def _output(
    last: Any, states: list[Any], with_states: bool, return_dict: bool
) -> BaseModelOutput | tuple[Any, ...]:
    output = BaseModelOutput(
        last_hidden_state=last,
        hidden_states=tuple(states) if with_states else None,
    )
    return output if return_dict else output.to_tuple()


# By the names that stand as model_type in a config.json.
ENCODER_MODELS: dict[str, type[RnaEncoderModel]] = {
    RinalmoConfig.model_type: RinalmoModel,
    ErnieRnaConfig.model_type: ErnieRnaModel,
}
for _model in ENCODER_MODELS.values():
    _model.register_for_auto_class("AutoModel")


def encoder_class(config: PreTrainedConfig) -> tuple[Any, dict[str, Any]]:
    """What makes an encoder of a configuration, AutoModel or a class of this file, and its options.

    By the name of its type: transformers loads a model's code from the Hub several times over, and
    each copy has classes of its own.
    """
    # A pooler would be a layer of random weights that nothing uses.
    options = {"add_pooling_layer": False} if config.model_type == "esm" else {}
    return ENCODER_MODELS.get(config.model_type, AutoModel), options


def new_encoder(config: PreTrainedConfig, **options: Any) -> PreTrainedModel:
    """An encoder with random weights: of this file, or one that AutoModel knows."""
    kind, own = encoder_class(config)
    make = kind.from_config if kind is AutoModel else kind._from_config
    return make(config, **own, **options)


__all__ = [
    "ENCODER_MODELS",
    "ErnieRnaModel",
    "RinalmoModel",
    "RnaEncoderModel",
    "encoder_class",
    "new_encoder",
]
