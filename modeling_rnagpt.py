"""RNA-GPT: an RNA encoder whose vectors, projected, take the place of tokens in a language model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, Cache, GenerationMixin, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from .configuration_rnagpt import RNA_PAD_TOKEN_ID, RnaGptConfig

_AUTO_CLASSES = ("AutoModel", "AutoModelForCausalLM", "AutoModelForMultimodalLM")
_RNA_INPUTS = ("rna_input_ids", "rna_attention_mask", "rna_hidden_states")


@dataclass
class RnaGptModelOutputWithPast(BaseModelOutputWithPast):
    """What `RnaGptModel` returns, with the RNA vectors of the prompt: (vectors, text hidden)."""

    rna_vectors: torch.FloatTensor | None = None


@dataclass
class RnaGptCausalLMOutputWithPast(CausalLMOutputWithPast):
    """What `RnaGptForCausalLM` returns, with the RNA vectors of the prompt: (vectors, text hidden)."""

    rna_vectors: torch.FloatTensor | None = None


class RnaProjector(nn.Module):
    """Projects encoder outputs into the language model's space.

    `rna_merge_size` neighbouring nucleotides are joined and projected to one vector; where
    `rna_summary_size` is n > 0, the mean over all nucleotides is projected to n vectors placed before.
    """

    def __init__(self, config: RnaGptConfig) -> None:
        super().__init__()
        rna_size, text_size = config.rna_config.hidden_size, config.text_config.hidden_size
        self.merge_size = config.rna_merge_size
        self.summary_size = config.rna_summary_size
        self.nucleotides = _projection(config.projector_type, rna_size * self.merge_size, text_size)
        if self.summary_size:
            self.summary = _projection(
                config.projector_type, rna_size, text_size * self.summary_size
            )

    def forward(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Project padded RNAs (rnas, longest, rna hidden) with their mask (rnas, longest).

        Returns the vectors of all RNAs in order, without padding: (vectors, text hidden).
        """
        mask = mask.bool()
        # At the 3' end the last group is filled up with zeros, whatever stood in the padding.
        hidden_states = hidden_states.masked_fill(~mask.unsqueeze(-1), 0.0)
        padding = -hidden_states.shape[1] % self.merge_size
        groups = nn.functional.pad(hidden_states, (0, 0, 0, padding)).unflatten(
            1, (-1, self.merge_size)
        )
        vectors = self.nucleotides(groups.flatten(2))
        kept = nn.functional.pad(mask, (0, padding)).unflatten(1, (-1, self.merge_size)).any(-1)
        if self.summary_size:
            mean = hidden_states.sum(1) / mask.sum(1, keepdim=True)
            summary = self.summary(mean.to(hidden_states.dtype)).unflatten(
                1, (self.summary_size, -1)
            )
            vectors = torch.cat([summary, vectors], dim=1)
            kept = torch.cat([kept.new_ones(len(kept), self.summary_size), kept], dim=1)
        return vectors[kept]


def _projection(projector_type: str, size: int, out_size: int) -> nn.Module:
    if projector_type == "linear":
        return nn.Linear(size, out_size)
    return nn.Sequential(nn.Linear(size, out_size), nn.GELU(), nn.Linear(out_size, out_size))


class RnaGptPreTrainedModel(PreTrainedModel):
    config: RnaGptConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("text",)
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True


class RnaGptModel(RnaGptPreTrainedModel):
    """RNA encoder, projection and language model without its head."""

    def __init__(self, config: RnaGptConfig) -> None:
        super().__init__(config)
        # The pooler would be a random layer that nothing trains.
        pooling = {"add_pooling_layer": False} if config.rna_config.model_type == "esm" else {}
        self.rna_encoder = AutoModel.from_config(config.rna_config, **pooling)
        self.projector = RnaProjector(config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def train(self, mode: bool = True) -> "RnaGptModel":
        """Set the mode; parts whose parameters are all frozen stay in `eval()`, without dropout."""
        super().train(mode)
        for part in (self.rna_encoder, self.language_model):
            if any(parameter.requires_grad for parameter in part.parameters()):
                continue
            part.eval()
            # A layer checkpoints gradients in training mode alone. Frozen layers of the language model
            # need that on the way back to the projection; the flag on the layer itself sets no dropout.
            for layer in part.modules():
                if isinstance(layer, GradientCheckpointingLayer):
                    layer.training = mode
        return self

    def encode_rna(
        self, rna_input_ids: torch.Tensor, rna_attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Encode nucleotide tokens, in windows where an RNA is longer than `rna_window_length`.

        Args:
            rna_input_ids: (rnas, longest), one token a nucleotide, without the encoder's own cls and eos.
            rna_attention_mask: (rnas, longest), 1 for nucleotides and 0 for the padding after them.

        Returns:
            (rnas, longest, rna hidden): one vector a nucleotide, zeros in the padding. In the overlap of
            two windows a nucleotide's vector comes from the window where it lies deepest.
        """
        mask = _rna_mask(rna_input_ids, rna_attention_mask)
        lengths = mask.sum(1).tolist()
        window, overlap = self.config.rna_window_length, self.config.rna_window_overlap
        starts = [_window_starts(length, window, overlap) for length in lengths]
        pieces = [
            rna_input_ids[rna, start : min(start + window, lengths[rna])]
            for rna, rna_starts in enumerate(starts)
            for start in rna_starts
        ]
        hidden_states = self._encode_windows(pieces)
        index = torch.zeros_like(rna_input_ids)
        row = 0
        for rna, rna_starts in enumerate(starts):
            for begin, end, start in _window_shares(rna_starts, lengths[rna], window):
                first = row * hidden_states.shape[1] - start
                index[rna, begin:end] = torch.arange(
                    first + begin, first + end, device=index.device
                )
                row += 1
        vectors = hidden_states.flatten(0, 1)[index.to(hidden_states.device)]
        return vectors.masked_fill(~mask.unsqueeze(-1).to(vectors.device), 0.0)

    def _encode_windows(self, pieces: list[torch.Tensor]) -> torch.Tensor:
        """Run the encoder over windows; returns (windows, longest window, rna hidden) of nucleotides."""
        head = [] if self.config.rna_cls_token_id is None else [self.config.rna_cls_token_id]
        tail = [] if self.config.rna_eos_token_id is None else [self.config.rna_eos_token_id]
        rows = [
            torch.cat([piece.new_tensor(head), piece, piece.new_tensor(tail)]) for piece in pieces
        ]
        input_ids = nn.utils.rnn.pad_sequence(
            rows, batch_first=True, padding_value=RNA_PAD_TOKEN_ID
        )
        lengths = torch.tensor([len(row) for row in rows], device=input_ids.device)
        attention_mask = (
            torch.arange(input_ids.shape[1], device=input_ids.device) < lengths[:, None]
        )
        outputs = self.rna_encoder(input_ids=input_ids, attention_mask=attention_mask.long())
        return outputs.last_hidden_state[:, len(head) :]

    def get_rna_vectors(
        self,
        rna_input_ids: torch.Tensor | None = None,
        rna_attention_mask: torch.Tensor | None = None,
        rna_hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The vectors that take the placeholders' places, of all RNAs in order: (vectors, text hidden).

        `rna_hidden_states` (rnas, longest, rna hidden), an earlier result of `encode_rna`, stands for
        `rna_input_ids`, and the encoder does not run.
        """
        if rna_hidden_states is None:
            rna_hidden_states = self.encode_rna(rna_input_ids, rna_attention_mask)
        if rna_input_ids is None and rna_attention_mask is None:
            rna_attention_mask = torch.ones_like(rna_hidden_states[..., 0])
        mask = _rna_mask(rna_input_ids, rna_attention_mask).to(rna_hidden_states.device)
        dtype = self.get_input_embeddings().weight.dtype
        return self.projector(rna_hidden_states.to(dtype), mask)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        rna_input_ids: torch.LongTensor | None = None,
        rna_attention_mask: torch.Tensor | None = None,
        rna_hidden_states: torch.FloatTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> RnaGptModelOutputWithPast:
        """Arguments and shapes as in `RnaGptForCausalLM.forward`."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give exactly one of input_ids and inputs_embeds.")
        rna_vectors = None
        if rna_input_ids is not None or rna_hidden_states is not None:
            if input_ids is None:
                raise ValueError("RNAs need input_ids, whose placeholders say where they belong.")
            rna_vectors = self.get_rna_vectors(rna_input_ids, rna_attention_mask, rna_hidden_states)
        if inputs_embeds is None:
            inputs_embeds = self._embed(input_ids, rna_vectors)
        outputs = self.language_model(
            attention_mask=self._language_mask(attention_mask, inputs_embeds),
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        return RnaGptModelOutputWithPast(**outputs, rna_vectors=rna_vectors)

    def _embed(self, input_ids: torch.Tensor, rna_vectors: torch.Tensor | None) -> torch.Tensor:
        """Embed a prompt and put the RNA vectors in the placeholders' places."""
        placeholders = input_ids == self.config.rna_token_id
        num_placeholders, num_vectors = (
            int(placeholders.sum()),
            0 if rna_vectors is None else len(rna_vectors),
        )
        if num_placeholders != num_vectors:
            raise ValueError(
                f"The prompts hold {num_placeholders} placeholders for RNA vectors, but the RNAs given "
                f"make {num_vectors} vectors. Prepare prompts and RNAs with one call of the processor."
            )
        # The placeholder's id may lie beyond the embedding table, so it is never looked up.
        inputs_embeds = self.get_input_embeddings()(input_ids.masked_fill(placeholders, 0))
        if rna_vectors is None:
            return inputs_embeds
        rna_vectors = rna_vectors.to(inputs_embeds.device, inputs_embeds.dtype)
        mask = placeholders.to(inputs_embeds.device).unsqueeze(-1).expand_as(inputs_embeds)
        return inputs_embeds.masked_scatter(mask, rna_vectors)

    def _language_mask(
        self, mask: torch.Tensor | None, embeds: torch.Tensor
    ) -> torch.Tensor | None:
        """Eager attention adds its 4-D mask to the scores, so a boolean one becomes 0 and minus infinity."""
        if mask is None or mask.ndim != 4 or mask.dtype != torch.bool:
            return mask
        if self.language_model.config._attn_implementation != "eager":
            return mask
        lowest = torch.finfo(embeds.dtype).min
        return torch.zeros_like(mask, dtype=embeds.dtype).masked_fill(~mask, lowest)


class RnaGptForCausalLM(RnaGptPreTrainedModel, GenerationMixin):
    """RNA-GPT with the language model's head: answers questions about RNAs."""

    def __init__(self, config: RnaGptConfig) -> None:
        super().__init__(config)
        self.model = RnaGptModel(config)
        self.lm_head = nn.Linear(
            config.text_config.hidden_size, config.text_config.vocab_size, bias=False
        )
        self._tied_weights_keys = {
            "lm_head.weight": f"model.language_model.{self._embedding_name()}.weight"
        }
        # Three Auto classes load this one model; the library's own registration writes only one of them.
        auto_map = dict.fromkeys(_AUTO_CLASSES, f"modeling_rnagpt.{type(self).__name__}")
        config.auto_map = {**(getattr(config, "auto_map", None) or {}), **auto_map}
        self.post_init()

    def _embedding_name(self) -> str:
        language_model = self.model.language_model
        embedding = language_model.get_input_embeddings()
        return next(name for name, module in language_model.named_modules() if module is embedding)

    def encode_rna(
        self, rna_input_ids: torch.Tensor, rna_attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """See `RnaGptModel.encode_rna`."""
        return self.model.encode_rna(rna_input_ids, rna_attention_mask)

    def get_rna_vectors(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """See `RnaGptModel.get_rna_vectors`."""
        return self.model.get_rna_vectors(*args, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        rna_input_ids: torch.LongTensor | None = None,
        rna_attention_mask: torch.Tensor | None = None,
        rna_hidden_states: torch.FloatTensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> RnaGptCausalLMOutputWithPast:
        """Predict the next tokens of prompts that hold RNAs.

        Args:
            input_ids: (batch, sequence), with `rna_token_id` once for each RNA vector.
            attention_mask: (batch, sequence), 1 for tokens; or a boolean mask (batch, 1, sequence,
                sequence), True where a query sees a key, which reaches the language model unchanged
                (several questions about one RNA packed in one sequence; SDPA and eager attention).
            rna_input_ids: (rnas, longest): the RNAs of all prompts in order, as from the processor.
            rna_attention_mask: (rnas, longest), 1 for nucleotides, 0 for the padding after them.
            rna_hidden_states: (rnas, longest, rna hidden): an earlier result of `encode_rna`.
            labels: (batch, sequence): token ids, -100 where no loss is wanted.
            logits_to_keep: compute logits for the last so many positions (0: all), or for an index.

        Raises:
            ValueError: when placeholders and RNA vectors differ in number.
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            rna_input_ids=rna_input_ids,
            rna_attention_mask=rna_attention_mask,
            rna_hidden_states=rna_hidden_states,
            use_cache=use_cache,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept, :])
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits,
                labels=labels,
                vocab_size=self.config.text_config.vocab_size,
                **kwargs,
            )
        return RnaGptCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            rna_vectors=outputs.rna_vectors,
        )

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.LongTensor,
        next_sequence_length: int | None = None,
        past_key_values: Cache | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Drop the RNAs that already lie in the cache: all after the first step, earlier ones in a chat."""
        rna_inputs = {name: kwargs.pop(name, None) for name in _RNA_INPUTS}
        model_inputs = super().prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration,
            **kwargs,
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            return model_inputs
        new_ids = model_inputs.get("input_ids")
        if new_ids is not None and new_ids.shape[1] < input_ids.shape[1]:
            rna_inputs = self._uncached_rnas(rna_inputs, input_ids, new_ids)
        return {**model_inputs, **rna_inputs}

    def _uncached_rnas(
        self, rna_inputs: dict[str, Any], input_ids: torch.Tensor, new_ids: torch.Tensor
    ) -> dict[str, Any]:
        """Keep the RNAs whose placeholders are among the new tokens, given those of the whole chat."""
        counts = self._vectors_per_rna(rna_inputs)
        num_new = (new_ids == self.config.rna_token_id).sum(1).tolist()
        if not counts or sum(counts) == sum(num_new):
            return rna_inputs
        kept: list[int] = []
        for rnas, wanted in zip(self._rnas_per_prompt(input_ids, counts), num_new):
            first = len(rnas)
            while first and sum(counts[rna] for rna in rnas[first:]) < wanted:
                first -= 1
            kept += rnas[first:]
        return _select_rnas(rna_inputs, kept)

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: torch.LongTensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[torch.LongTensor, dict[str, Any]]:
        """Repeat prompts for beams and samples, and with each prompt all of its RNAs in their order.

        The library would repeat row by row, A A B B, where the copies of a prompt need A B A B.
        """
        rna_inputs = {name: model_kwargs.pop(name, None) for name in _RNA_INPUTS}
        counts = self._vectors_per_rna(rna_inputs)
        if counts and expand_size > 1:
            per_prompt = self._rnas_per_prompt(input_ids, counts)
            rna_inputs = _select_rnas(
                rna_inputs, [rna for rnas in per_prompt for rna in rnas * expand_size]
            )
        input_ids, model_kwargs = super()._expand_inputs_for_generation(
            expand_size=expand_size,
            is_encoder_decoder=is_encoder_decoder,
            input_ids=input_ids,
            **model_kwargs,
        )
        given = {name: value for name, value in rna_inputs.items() if value is not None}
        return input_ids, {**model_kwargs, **given}

    def _vectors_per_rna(self, rna_inputs: dict[str, Any]) -> list[int]:
        """Vectors that each RNA makes, in the order of the RNAs; empty without RNAs."""
        ids, mask, hidden_states = (rna_inputs[name] for name in _RNA_INPUTS)
        if ids is None and hidden_states is None:
            return []
        if ids is None and mask is None:
            mask = torch.ones_like(hidden_states[..., 0])
        return [
            self.config.num_rna_tokens(length) for length in _rna_mask(ids, mask).sum(1).tolist()
        ]

    def _rnas_per_prompt(self, input_ids: torch.Tensor, counts: list[int]) -> list[list[int]]:
        """Indices of the RNAs that belong to each prompt, found from the prompts' placeholders."""
        prompts: list[list[int]] = []
        rna = 0
        for num_placeholders in (input_ids == self.config.rna_token_id).sum(1).tolist():
            rnas: list[int] = []
            while num_placeholders > 0 and rna < len(counts):
                num_placeholders -= counts[rna]
                rnas.append(rna)
                rna += 1
            if num_placeholders:
                break
            prompts.append(rnas)
        if len(prompts) < len(input_ids) or rna < len(counts):
            raise ValueError(
                f"The {len(counts)} RNAs, which make {counts} vectors, do not fill the placeholders of the "
                f"prompts, {(input_ids == self.config.rna_token_id).sum(1).tolist()}. Prepare prompts and "
                "RNAs with one call of the processor."
            )
        return prompts


def _rna_mask(
    rna_input_ids: torch.Tensor | None, rna_attention_mask: torch.Tensor | None
) -> torch.Tensor:
    """The boolean mask of nucleotides; without a mask all tokens that are not padding."""
    mask = (
        rna_input_ids != RNA_PAD_TOKEN_ID
        if rna_attention_mask is None
        else rna_attention_mask.bool()
    )
    if not bool(mask[:, 0].all()) or bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise ValueError(
            "Each row of rna_attention_mask must be ones (nucleotides), then zeros (padding)."
        )
    return mask


def _window_starts(length: int, window: int, overlap: int) -> list[int]:
    """Starts (0-based nt) of the fewest windows that overlap by at least `overlap`, evenly spread."""
    if length <= window:
        return [0]
    steps = -(-(length - window) // (window - overlap))
    return [step * (length - window) // steps for step in range(steps + 1)]


def _window_shares(starts: list[int], length: int, window: int) -> list[tuple[int, int, int]]:
    """The nucleotides (begin, end, start of window) that each window gives: up to the overlaps' middles."""
    middles = [(left + window + right) // 2 for left, right in zip(starts, starts[1:])]
    return list(zip([0, *middles], [*middles, length], starts))


def _select_rnas(rna_inputs: dict[str, Any], rnas: list[int]) -> dict[str, Any]:
    """Keep these rows of every RNA input; none at all where no row is left."""
    if not rnas:
        return dict.fromkeys(rna_inputs)
    return {name: None if value is None else value[rnas] for name, value in rna_inputs.items()}


RnaGptForCausalLM.register_for_auto_class("AutoModelForCausalLM")

__all__ = ["RnaGptForCausalLM", "RnaGptModel", "RnaGptPreTrainedModel", "RnaProjector"]
