"""RNA-GPT: projected vectors of an RNA encoder take the place of tokens in a language model."""

import warnings
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import AutoModel, Cache, GenerationConfig, GenerationMixin, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.models.esm.modeling_esm import EsmIntermediate, EsmLayer
from transformers.utils import can_return_tuple

from .configuration_rnagpt import RnaGptConfig
from .modeling_encoders_rnagpt import RnaEncoderModel, new_encoder

# What transformers calls the keys and values of earlier tokens: `past_key_values` before 5.24.
_CACHE_NAMES = ("cache", "past_key_values")
_OUTPUTS = {field.name for field in fields(CausalLMOutputWithPast)}
CACHE_NAME = next(name for name in _CACHE_NAMES if name in _OUTPUTS)
_RNA_INPUTS = ("rna_input_ids", "rna_attention_mask", "rna_hidden_states")
_IGNORED_LABEL = -100
# Options of `generate` that cannot be had, and why: at all, and where a prompt holds an RNA.
_NO_TEXT = "it takes all tokens of a prompt for words, and an RNA's placeholders are none"
_REJECTED = {
    "assistant_early_exit": "transformers leaves out layers of plain language models alone",
    "cache_implementation": "what is paged reads token ids alone, without their RNAs",
}
_REJECTED_WITH_RNAS = {
    "assistant_model": "an assistant reads tokens, and an RNA is vectors of this model",
    "encoder_no_repeat_ngram_size": _NO_TEXT,
    "encoder_repetition_penalty": _NO_TEXT,
    "no_repeat_ngram_size": _NO_TEXT,
    "prefill_chunk_size": "an RNA's placeholders and its vectors are read in one pass",
    "prompt_lookup_num_tokens": _NO_TEXT,
    "token_healing": _NO_TEXT,
}
# Most tokens that the encoder reads at once, and the share of them that may be padding. A CPU is
# busy with few tokens, and padding costs it as much as they do; a GPU is filled by many.
_CPU_BATCH = (1024, 0.05)
_ACCELERATOR_BATCH = (65536, 0.15)


@dataclass
class RnaGptModelOutputWithPast(BaseModelOutputWithPast):
    """The language model's output, with the RNA vectors of the prompts: (vectors, text hidden)."""

    rna_vectors: torch.Tensor | None = None


@dataclass
class RnaGptCausalLMOutputWithPast(CausalLMOutputWithPast):
    """Loss and logits, with the RNA vectors of the prompts: (vectors, text hidden)."""

    rna_vectors: torch.Tensor | None = None


class RnaProjector(nn.Module):
    """Projects the encoder's vectors into the language model's space.

    `rna_merge_size` neighbouring nucleotides are joined and projected to one vector. Where
    `rna_summary_size` is n > 0, the mean of an RNA's nucleotides is projected to n vectors before;
    with `rna_family_prototypes`, that mean attends over learned entries first. The first
    `rna_type_size` of the n attend over types of RNA instead: families are many, so that which one
    it is may be memorised, while what is common to a type holds for new families too.
    """

    def __init__(self, config: RnaGptConfig) -> None:
        super().__init__()
        rna_size, text_size = config.rna_config.hidden_size, config.text_config.hidden_size
        self.merge_size = config.rna_merge_size
        self.summary_size = config.rna_summary_size
        self.family_prototypes = config.rna_family_prototypes
        self.type_size = config.rna_type_size
        kind = config.projector_type
        self.nucleotides = _projection(kind, rna_size * self.merge_size, text_size)
        if self.summary_size:
            # Means of RNAs differ little next to what they share: the norm lets it count.
            self.summary_norm = nn.LayerNorm(rna_size)
            if config.rna_family_prototypes:
                self.summary_keys = nn.Linear(rna_size, config.rna_family_prototypes)
                self.summary_values = nn.Linear(config.rna_family_prototypes, rna_size, bias=False)
            if self.type_size:
                self.type_keys = nn.Linear(rna_size, config.rna_type_prototypes)
                self.type_values = nn.Linear(
                    config.rna_type_prototypes, text_size * self.type_size, bias=False
                )
            self.summary = _projection(
                kind, rna_size, text_size * (self.summary_size - self.type_size)
            )

    def forward(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Project padded RNAs (rnas, longest, rna hidden) with their boolean mask (rnas, longest).

        Returns the vectors of all RNAs, one RNA after the other: (vectors, text hidden).
        """
        # Zeros fill the last group at the 3' end, whatever stood in the padding.
        hidden_states = hidden_states.masked_fill(~mask.unsqueeze(-1), 0.0)
        missing = -hidden_states.shape[1] % self.merge_size
        groups = nn.functional.pad(hidden_states, (0, 0, 0, missing))
        vectors = self.nucleotides(groups.unflatten(1, (-1, self.merge_size)).flatten(2))
        kept = nn.functional.pad(mask, (0, missing)).unflatten(1, (-1, self.merge_size)).any(-1)
        if self.summary_size:
            mean = hidden_states.sum(1) / mask.sum(1, keepdim=True).to(hidden_states.dtype)
            vectors = torch.cat([self.summarise(mean), vectors], dim=1)
            kept = nn.functional.pad(kept, (self.summary_size, 0), value=True)
        return vectors[kept]

    def summarise(self, mean: torch.Tensor) -> torch.Tensor:
        """Summary vectors (rnas, summary size, text hidden) from means (rnas, rna hidden)."""
        vectors = []
        if self.type_size:
            types = self.type_values(self.type_keys(mean).softmax(-1))
            vectors.append(types.unflatten(-1, (self.type_size, -1)))
        mean = self.summary_norm(mean)
        if self.family_prototypes:
            mean = self.summary_values(self.summary_keys(mean).softmax(-1))
        vectors.append(self.summary(mean).unflatten(-1, (self.summary_size - self.type_size, -1)))
        return torch.cat(vectors, dim=1)


def _projection(kind: str, size: int, out_size: int) -> nn.Module:
    if kind == "linear":
        return nn.Linear(size, out_size)
    return nn.Sequential(nn.Linear(size, out_size), nn.GELU(), nn.Linear(out_size, out_size))


class _OnePassIntermediate(EsmIntermediate):
    """`EsmIntermediate` with torch's own exact GELU.

    transformers writes the formula out, as the first ESM did, in five passes over the widest tensor
    of a layer: a fifth of the encoder's time on a CPU. The values differ in their last digits.
    Without gradients it is done in place: a second such tensor is handed back to the system and
    fetched again in each layer, which costs more than the GELU itself.
    """

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = self.dense(hidden_states)
        if torch.is_grad_enabled():
            return nn.functional.gelu(hidden_states)
        return torch.ops.aten.gelu_(hidden_states)


class RnaGptPreTrainedModel(PreTrainedModel):
    config: RnaGptConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _skip_keys_device_placement: ClassVar = list(_CACHE_NAMES)  # type: ignore[misc]
    # Quantisation leaves such modules out too: both are small next to the language model, and what
    # they lose is lost for the whole answer. It matches names from their beginning.
    _keep_in_fp32_modules: ClassVar = [  # type: ignore[misc]
        r"(?:model\.)?rna_encoder",
        r"(?:model\.)?projector",
    ]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    @property
    def dtype(self) -> torch.dtype:
        """The language model's: in float16, encoder and projection stay in float32.

        It is what a saved configuration names, and what the whole model is loaded in again.
        """
        base: Any = self.base_model
        weights = base.language_model.parameters()
        return next(weight.dtype for weight in weights if weight.is_floating_point())

    def _placeholders(self, input_ids: torch.Tensor) -> torch.Tensor:
        """True where an RNA vector belongs: (batch, sequence)."""
        return input_ids.eq(self.config.rna_token_id)  # type: ignore[arg-type]  # set by now

    def _nucleotide_mask(
        self,
        rna_input_ids: torch.Tensor | None,
        rna_attention_mask: torch.Tensor | None,
        rna_hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The boolean mask (rnas, longest): as given, or all tokens but padding, or all vectors."""
        if rna_attention_mask is not None:
            mask = rna_attention_mask.bool()
        elif rna_input_ids is not None:
            mask = rna_input_ids.ne(self.config.rna_alphabet.pad_token_id)
        else:
            assert rna_hidden_states is not None
            mask = torch.ones_like(rna_hidden_states[..., 0], dtype=torch.bool)
        begins = mask[:, 0].int() + (mask[:, 1:] & ~mask[:, :-1]).sum(1)
        if (begins != 1).any():
            raise ValueError(
                "Each RNA must be nucleotides in a row (mask 1), with padding after or before them "
                "(mask 0)."
            )
        return mask


class RnaGptModel(RnaGptPreTrainedModel):
    """RNA encoder, projection and language model without its head."""

    def __init__(self, config: RnaGptConfig) -> None:
        super().__init__(config)
        with warnings.catch_warnings():
            # ESM's predictor of contacts, never run, has no weights where there are no layers.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")
            self.rna_encoder = new_encoder(config.rna_config)
        for layer in self.rna_encoder.modules():
            if isinstance(layer, EsmLayer):
                layer.intermediate = _OnePassIntermediate(config.rna_config)
        self.projector = RnaProjector(config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def train(self, mode: bool = True) -> "RnaGptModel":
        """Set the mode; parts whose parameters are all frozen stay in `eval()`: no dropout."""
        super().train(mode)
        for part in (self.rna_encoder, self.language_model):
            if not _is_trained(part):
                part.eval()
        # Layers checkpoint gradients only in training mode, and those of a frozen language model
        # lie between the loss and the projection. A layer's own flag switches no dropout on.
        for layer in self.language_model.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                layer.training = mode
        return self

    def encode_rna(
        self,
        rna_input_ids: torch.Tensor,
        rna_attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Encode nucleotide tokens, in windows where an RNA is longer than `rna_window_length`.

        Args:
            rna_input_ids: (rnas, longest), one token per nucleotide, without the encoder's cls and
                eos, which are added here and dropped again.
            rna_attention_mask: (rnas, longest), 1 for nucleotides, 0 for the padding after them,
                or before them.

        Returns:
            (rnas, longest, rna hidden): one vector per nucleotide, in the token's place; zeros in
            the padding. Where two windows overlap, a nucleotide's vector is from the one in which
            it lies deepest.
        """
        mask = self._nucleotide_mask(rna_input_ids, rna_attention_mask)
        window, overlap = self.config.rna_window_length, self.config.rna_window_overlap
        # Cut where it costs least: an accelerator would be asked several small things for each RNA.
        ids = rna_input_ids.cpu()
        pieces: list[torch.Tensor] = []
        index = torch.zeros_like(ids)
        lengths = mask.sum(1).tolist()
        width = min(window, max(lengths))
        firsts = mask.int().argmax(1).tolist()
        for rna, (length, skip) in enumerate(zip(lengths, firsts, strict=True)):
            starts = _window_starts(length, window, overlap)
            nucleotides = ids[rna, skip : skip + length]
            for start, begin, end in _window_shares(starts, length, window):
                # Nucleotide i is vector i - start of this window, in the list of all windows.
                first = len(pieces) * width - start
                index[rna, skip + begin : skip + end] = torch.arange(first + begin, first + end)
                pieces.append(nucleotides[start : start + window])
        hidden_states = self._encode_windows(pieces, width, rna_input_ids.device).flatten(0, 1)
        vectors = hidden_states[index.to(hidden_states.device)]
        return vectors.masked_fill(~mask.unsqueeze(-1).to(vectors.device), 0.0)

    def _encode_windows(
        self, pieces: list[torch.Tensor], width: int, device: torch.device
    ) -> torch.Tensor:
        """Run the encoder over windows of tokens: (windows, width, rna hidden), without cls."""
        cls, eos = self.config.rna_cls_token_id, self.config.rna_eos_token_id
        head, tail = [[] if token is None else [token] for token in (cls, eos)]
        ends = [torch.tensor(token, dtype=pieces[0].dtype) for token in (head, tail)]
        rows = [torch.cat([ends[0], row, ends[1]]) for row in pieces]
        pad = self.config.rna_alphabet.pad_token_id
        batches = self._encoder_batches([len(row) for row in rows])
        outputs = []
        # Trainers make all embeddings require gradients; a frozen encoder builds no graph for that.
        with torch.set_grad_enabled(torch.is_grad_enabled() and _is_trained(self.rna_encoder)):
            for batch in batches:
                ids = [rows[window] for window in batch]
                input_ids = nn.utils.rnn.pad_sequence(ids, True, pad).to(device)
                attention_mask = input_ids.ne(pad).long()
                output = self.rna_encoder(
                    input_ids=input_ids, attention_mask=attention_mask, return_dict=True
                )
                outputs.append(output.last_hidden_state[:, len(head) :])
        hidden_states = outputs[0].new_zeros(len(rows), width, outputs[0].shape[-1])
        for batch, vectors in zip(batches, outputs, strict=True):
            length = min(width, vectors.shape[1])
            hidden_states[batch, :length] = vectors[:, :length]
        return hidden_states

    def _encoder_batches(self, lengths: list[int]) -> list[list[int]]:
        """Rows that the encoder reads together, by their lengths (tokens)."""
        if any(isinstance(weight, DTensor) for weight in self.rna_encoder.parameters()):
            # Sharded layers are gathered at each call, in which all processes have to take part.
            return [list(range(len(lengths)))]
        on_cpu = self.device.type == "cpu"
        most_tokens, most_padding = _CPU_BATCH if on_cpu else _ACCELERATOR_BATCH
        if isinstance(self.rna_encoder, RnaEncoderModel):
            most_tokens = min(most_tokens, self.rna_encoder.max_tokens_at_once)
        return _similar_lengths(lengths, most_tokens, most_padding)

    def get_rna_vectors(
        self,
        rna_input_ids: torch.Tensor | None = None,
        rna_attention_mask: torch.Tensor | None = None,
        rna_hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The vectors that take the placeholders' places, RNA after RNA: (vectors, text hidden).

        With `rna_hidden_states` (rnas, longest, rna hidden), an earlier result of `encode_rna`,
        the encoder does not run, and the tokens serve at most as a mask.
        """
        mask = self._nucleotide_mask(rna_input_ids, rna_attention_mask, rna_hidden_states)
        if rna_hidden_states is None:
            assert rna_input_ids is not None
            rna_hidden_states = self.encode_rna(rna_input_ids, mask)
        dtype = next(self.projector.parameters()).dtype
        rna_hidden_states, mask = _padded_after(rna_hidden_states, mask)
        return self.projector(rna_hidden_states.to(dtype), mask)

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        rna_input_ids: torch.Tensor | None = None,
        rna_attention_mask: torch.Tensor | None = None,
        rna_hidden_states: torch.Tensor | None = None,
        use_cache: bool | None = None,
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> RnaGptModelOutputWithPast:
        """Arguments as in `RnaGptForCausalLM.forward`."""
        rna_vectors = None
        if rna_input_ids is not None or rna_hidden_states is not None:
            rna_vectors = self.get_rna_vectors(rna_input_ids, rna_attention_mask, rna_hidden_states)
        embeds = self.embed(input_ids, inputs_embeds, rna_vectors)
        outputs = self.language_model(
            attention_mask=self._language_mask(attention_mask, embeds.dtype),
            position_ids=position_ids,
            inputs_embeds=embeds,
            use_cache=use_cache,
            return_dict=True,
            **_named_cache({"past_key_values": past_key_values, "cache": cache}),
            **kwargs,
        )
        return RnaGptModelOutputWithPast(**outputs, rna_vectors=rna_vectors)

    def embed(
        self,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
        rna_vectors: torch.Tensor | None,
    ) -> torch.Tensor:
        """Embed prompts (batch, sequence), with the RNA vectors in the placeholders' places."""
        if input_ids is None or inputs_embeds is not None:
            if inputs_embeds is None or input_ids is not None or rna_vectors is not None:
                raise ValueError("Give either input_ids, with any RNAs, or inputs_embeds alone.")
            return inputs_embeds
        placeholders = self._placeholders(input_ids)
        num_vectors = 0 if rna_vectors is None else len(rna_vectors)
        if placeholders.sum() != num_vectors:
            raise ValueError(_mismatch(int(placeholders.sum()), num_vectors, rna_vectors is None))
        # The placeholder's id may lie beyond the embedding table, so it is never looked up.
        embeds = self.get_input_embeddings()(input_ids.masked_fill(placeholders, 0))
        if rna_vectors is None:
            return embeds
        mask = placeholders.to(embeds.device).unsqueeze(-1).expand_as(embeds)
        return embeds.masked_scatter(mask, rna_vectors.to(embeds.device, embeds.dtype))

    def _language_mask(self, mask: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
        """Eager attention adds a 4-D mask to its scores: a boolean one becomes 0 and minimum."""
        eager = self.language_model.config._attn_implementation == "eager"
        if mask is None or mask.ndim != 4 or mask.dtype != torch.bool or not eager:
            return mask
        return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


class RnaGptForCausalLM(RnaGptPreTrainedModel, GenerationMixin):
    """RNA-GPT with the language model's head: answers questions about RNAs."""

    def __init__(self, config: RnaGptConfig) -> None:
        super().__init__(config)
        text = config.text_config
        self.model = RnaGptModel(config)
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        # The embedding's name differs between families of language models.
        embedding = self.get_input_embeddings()
        names = [name for name, module in self.named_modules() if module is embedding]
        self._tied_weights_keys = {"lm_head.weight": f"{names[0]}.weight"}
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.set_input_embeddings(value)

    def encode_rna(
        self,
        rna_input_ids: torch.Tensor,
        rna_attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `RnaGptModel.encode_rna`."""
        return self.model.encode_rna(rna_input_ids, rna_attention_mask)

    def get_rna_vectors(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """See `RnaGptModel.get_rna_vectors`."""
        return self.model.get_rna_vectors(*args, **kwargs)

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        rna_input_ids: torch.Tensor | None = None,
        rna_attention_mask: torch.Tensor | None = None,
        rna_hidden_states: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> RnaGptCausalLMOutputWithPast:
        """Predict the next tokens of prompts that hold RNAs.

        Args:
            input_ids: (batch, sequence), with `rna_token_id` once for each RNA vector.
            attention_mask: (batch, sequence), 1 for tokens; or a boolean mask (batch, 1, sequence,
                sequence), True where a query sees a key, which the language model takes as it is:
                so several questions about one RNA share a sequence (SDPA and eager attention).
            position_ids: (batch, sequence).
            past_key_values: the cache of an earlier call, as transformers before 5.24 calls it.
            inputs_embeds: (batch, sequence, text hidden), instead of `input_ids` and RNAs.
            rna_input_ids: (rnas, longest): the RNAs of all prompts in order, from the processor.
            rna_attention_mask: (rnas, longest), 1 for nucleotides, 0 for the padding after them,
                or before them.
            rna_hidden_states: (rnas, longest, rna hidden): an earlier result of `encode_rna`.
            labels: (batch, sequence): token ids, -100 where no loss is wanted. Placeholders never
                count, and with `num_items_in_batch` they have to be -100.
            use_cache: return the cache.
            logits_to_keep: logits for the last N positions (0: all), or for an index.
            cache: `past_key_values`, as transformers from 5.24 on calls it. Either name is taken;
                what is returned has the one of the version that is installed.

        Raises:
            ValueError: when placeholders and RNA vectors differ in number, two caches are given, or
                `num_items_in_batch` has counted placeholders among the labels.
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
            cache=cache,
            return_dict=True,
            **kwargs,
        )
        last = isinstance(logits_to_keep, int)
        kept = slice(-logits_to_keep, None) if last else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept, :])
        loss = None
        if labels is None:
            logits = self._without_placeholder(logits)
        else:
            if kwargs.get("num_items_in_batch") is not None:
                self.reject_labelled_placeholders(labels)
            labels = labels.masked_fill(self._placeholders(labels), _IGNORED_LABEL)
            vocab_size = self.config.text_config.vocab_size
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=vocab_size, **kwargs)
        return RnaGptCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            rna_vectors=outputs.rna_vectors,
            **{CACHE_NAME: outputs.get(CACHE_NAME)},
        )

    def _without_placeholder(self, logits: torch.Tensor) -> torch.Tensor:
        """A placeholder with an id below the vocabulary's size must never be an answer."""
        if self.config.rna_token_id >= logits.shape[-1]:  # type: ignore[operator]  # set by now
            return logits
        index = torch.tensor([self.config.rna_token_id], device=logits.device)
        return logits.index_fill(-1, index, torch.finfo(logits.dtype).min)

    def reject_labelled_placeholders(self, labels: torch.Tensor) -> None:
        """Reject labels (batch, sequence) that a trainer counts and the model leaves out.

        Raises:
            ValueError: where a label is `rna_token_id`.
        """
        number = int(self._placeholders(labels).sum())
        if number:
            raise ValueError(
                f"labels hold {number} placeholders of RNAs, which are no words to learn, but the "
                "trainer has counted them (num_items_in_batch): the loss would come out too small. "
                f"Write in the collator: labels[labels == {self.config.rna_token_id}] = -100"
            )

    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Write answers, as transformers' `generate`, which says what it takes and returns.

        A cache of an earlier call may be given as `past_key_values` or as `cache`.

        Raises:
            ValueError: for an option that cannot be had, at all or where a prompt holds an RNA.
        """
        input_ids = kwargs.get("input_ids") if inputs is None else inputs
        has_rnas = input_ids is not None and bool(self._placeholders(input_ids).any())
        places = [kwargs, *map(vars, filter(None, (generation_config, self.generation_config)))]
        for option, reason in {**_REJECTED, **(_REJECTED_WITH_RNAS if has_rnas else {})}.items():
            given = [place[option] for place in places if place.get(option) is not None]
            if given and _asks_for_it(option, given[0]):
                shown = type(given[0]).__name__ if option == "assistant_model" else repr(given[0])
                where = "" if option in _REJECTED else " where a prompt holds an RNA"
                raise ValueError(f"{option}={shown} cannot be had{where}: {reason}. Leave it out.")
        inherited: Any = super()  # its annotations want a class that no model is
        return inherited.generate(inputs, generation_config, *args, **_named_cache(kwargs))

    def generate_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Reject transformers' continuous batching, which reads only token ids.

        Raises:
            ValueError: always.
        """
        return self.init_continuous_batching()

    def init_continuous_batching(self, *args: Any, **kwargs: Any) -> Any:
        """See `generate_batch`."""
        raise ValueError(
            "transformers' continuous batching reads token ids alone, without their RNAs. Give "
            "`generate` a batch that is padded on the left, or start `rnagpt serve`, which answers "
            "many at once."
        )

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: torch.Tensor,
        inputs_embeds: torch.Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Leave out RNAs that lie in the cache: all after the first step, in a chat earlier ones.

        So a later turn of a chat may pass the RNAs of the whole chat, or only the new ones.
        """
        inherited: Any = super()
        inputs = inherited.prepare_inputs_for_generation(
            input_ids,
            inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration,
            **_named_cache(kwargs),
        )
        rna_inputs = {name: inputs.pop(name, None) for name in _RNA_INPUTS}
        if not is_first_iteration and kwargs.get("use_cache", True):
            return inputs
        new_ids = inputs.get("input_ids")
        if new_ids is not None and new_ids.shape[1] < input_ids.shape[1]:
            rna_inputs = self._select_uncached(rna_inputs, input_ids, new_ids)
        return {**inputs, **rna_inputs}

    def _expand_inputs_for_generation(  # type: ignore[override]
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor | None, dict[str, Any]]:
        """Repeat prompts for beams and samples, and with each prompt its RNAs in their order.

        The library repeats row by row, A A B B, but the copies of a prompt need A B A B.
        """
        rna_inputs = {name: kwargs.pop(name) for name in _RNA_INPUTS if name in kwargs}
        counts = self._vectors_per_rna(rna_inputs)
        if counts and expand_size > 1 and input_ids is not None:
            prompts = self._rnas_of_prompts(input_ids, counts)
            rows = [row for prompt in prompts for row in prompt * expand_size]
            rna_inputs = _select_rows(rna_inputs, rows)
        inherited: Any = super()
        input_ids, kwargs = inherited._expand_inputs_for_generation(
            expand_size=expand_size,
            is_encoder_decoder=is_encoder_decoder,
            input_ids=input_ids,
            **kwargs,
        )
        return input_ids, {**kwargs, **rna_inputs}

    def _select_uncached(
        self,
        rna_inputs: dict[str, Any],
        input_ids: torch.Tensor,
        new_ids: torch.Tensor,
    ) -> dict[str, Any]:
        """Keep the RNAs whose placeholders are among the new tokens, the last of each prompt."""
        counts = self._vectors_per_rna(rna_inputs)
        num_new = self._placeholders(new_ids).sum(1).tolist()
        if sum(counts) == sum(num_new):
            return rna_inputs
        rows: list[int] = []
        for prompt, missing in zip(self._rnas_of_prompts(input_ids, counts), num_new, strict=True):
            first = len(prompt)
            while first and missing > 0:
                first -= 1
                missing -= counts[prompt[first]]
            rows += prompt[first:]
        return _select_rows(rna_inputs, rows)

    def _vectors_per_rna(self, rna_inputs: dict[str, Any]) -> list[int]:
        """How many vectors each RNA makes; empty without RNAs."""
        ids, mask, hidden_states = (rna_inputs.get(name) for name in _RNA_INPUTS)
        if ids is None and hidden_states is None:
            return []
        lengths = self._nucleotide_mask(ids, mask, hidden_states).sum(1).tolist()
        return [self.config.num_rna_tokens(length) for length in lengths]

    def _rnas_of_prompts(self, input_ids: torch.Tensor, counts: list[int]) -> list[list[int]]:
        """Rows of the RNAs of each prompt, found by filling the prompts' placeholders in order."""
        num_placeholders = self._placeholders(input_ids).sum(1).tolist()
        prompts: list[list[int]] = []
        rows = iter(range(len(counts)))
        for missing in num_placeholders:
            prompts.append([])
            while missing > 0 and (row := next(rows, None)) is not None:
                prompts[-1].append(row)
                missing -= counts[row]
            if missing != 0:
                break
        if missing != 0 or next(rows, None) is not None:
            raise ValueError(
                f"The RNAs make {counts} vectors, which does not fill the prompts' placeholders, "
                f"{num_placeholders}. Prepare both in one call of the processor."
            )
        return prompts


def _asks_for_it(option: str, value: Any) -> bool:
    """Whether an option of `generate` asks for what is rejected; other values of it do not."""
    if option == "no_repeat_ngram_size":
        return value == 1  # the prompt's own tokens must not come again, its placeholders too
    if option == "cache_implementation":
        return value.startswith("paged")
    return value not in (False, 0) and (option, value) != ("encoder_repetition_penalty", 1)


def _named_cache(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the cache, where one is given, under the name that transformers has."""
    named = {name: value for name, value in arguments.items() if name not in _CACHE_NAMES}
    caches = [arguments[name] for name in _CACHE_NAMES if arguments.get(name) is not None]
    if len(caches) > 1:
        raise ValueError("Give the cache once: as past_key_values, or as cache.")
    return {**named, CACHE_NAME: caches[0]} if caches else named


def _is_trained(part: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in part.parameters())


def _padded_after(
    hidden_states: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors (rnas, longest, hidden) and mask (rnas, longest) with all nucleotides at the front.

    The processor pads RNAs so. Where a pipeline of transformers batches what the processor made of
    single prompts, it pads all alike, on the left.
    """
    mask = mask.to(hidden_states.device)
    if mask[:, 0].all():
        return hidden_states, mask
    order = mask.int().argsort(dim=1, descending=True, stable=True)
    index = order.unsqueeze(-1).expand(-1, -1, hidden_states.shape[-1])
    return hidden_states.gather(1, index), mask.gather(1, order)


def _mismatch(num_placeholders: int, num_vectors: int, without_rnas: bool) -> str:
    """Why prompts and RNAs do not go together, and what to do."""
    if without_rnas:
        return (
            f"The prompts hold {num_placeholders} placeholders, but no RNA was given. Pass on all "
            "that the processor returned, rna_input_ids and rna_attention_mask among it."
        )
    return (
        f"The prompts hold {num_placeholders} placeholders, but the RNAs make {num_vectors} "
        "vectors. Prepare all prompts of a batch with their RNAs in one call of the processor; a "
        "pipeline's batch_size joins prompts with one RNA each."
    )


def _window_starts(length: int, window: int, overlap: int) -> list[int]:
    """Starts (0-based) of the fewest windows that overlap by `overlap` or more, evenly spread."""
    if length <= window:
        return [0]
    steps = -(-(length - window) // (window - overlap))
    return [step * (length - window) // steps for step in range(steps + 1)]


def _window_shares(starts: list[int], length: int, window: int) -> list[tuple[int, int, int]]:
    """Start of each window with the nucleotides (begin, end) that it gives: to mid-overlap."""
    middles = [(left + window + right) // 2 for left, right in pairwise(starts)]
    return list(zip(starts, [0, *middles], [*middles, length], strict=True))


def _similar_lengths(lengths: list[int], most_tokens: int, most_padding: float) -> list[list[int]]:
    """Rows in batches, longest first, of at most N tokens and that share of padding."""
    batches: list[list[int]] = []
    tokens = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        padded = lengths[batches[-1][0]] * (len(batches[-1]) + 1) if batches else 0
        tokens += lengths[row]
        if batches and padded <= most_tokens and padded - tokens <= most_padding * padded:
            batches[-1].append(row)
        else:
            batches.append([row])
            tokens = lengths[row]
    return batches


def _select_rows(rna_inputs: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    """These rows of every RNA input; None where no row is left."""
    return {
        name: None if value is None or not rows else value[rows]
        for name, value in rna_inputs.items()
    }


RnaGptForCausalLM.register_for_auto_class("AutoModelForCausalLM")

__all__ = [
    "CACHE_NAME",
    "RnaGptForCausalLM",
    "RnaGptModel",
    "RnaGptPreTrainedModel",
    "RnaProjector",
]
