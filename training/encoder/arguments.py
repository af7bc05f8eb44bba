"""Options of an encoder's training."""

from dataclasses import dataclass

from rnagpt.training.options import option


@dataclass
class EncoderArguments:
    """Which encoder is trained, on what."""

    objective: str = option("words", "masked (nucleotides) or words (of annotations).")
    dataset_name: str | None = option(
        None, "RNA-QA: the words to learn, the probe; its other splits are not trained on."
    )
    fasta: str | None = option(None, "Sequences for the masked objective.")
    language_model: str | None = option(
        None, "Whose word embeddings are the target: folder, Hub id, GGUF file, or mini."
    )
    encoder: str | None = option(None, "Earlier output to start from; layers may be added.")
    architecture: str = option(
        "esm", "esm, as RNA-FM, or rinalmo: its layers, with gates whose slope is 1."
    )
    kmer_size: int = option(6, "Nucleotides a token reads; 1 as RNA-FM.")
    hidden_size: int = option(512, "Width of the encoder.")
    num_hidden_layers: int = option(2, "0 trains only the table of k-mers.")
    num_attention_heads: int = option(8, "Attention heads a layer.")
    intermediate_size: int = option(1024, "Width of the feed-forward layers.")
    summary_size: int = option(16, "Words to learn, one summary vector each.")
    type_size: int = option(6, "Words of the RNA's type, a summary vector each, before them.")
    merge_size: int = option(8, "Recorded for the projection; see RnaGptConfig.")
    max_length: int = option(1022, "Longer RNAs (nt) are cut at random, differently each time.")
    tokens_per_batch: int = option(8192, "Nucleotides of a batch, padding included.")
    table_rate: float = option(3.0, "Learning rate of the table of k-mers, in learning rates.")
    most_mutations: float = option(0.2, "Share of nucleotides replaced at random, at most.")
    decoy_share: float = option(0.3, "Share of RNAs that are shuffled, to be told as unknown.")
    mask_share: float = option(0.15, "Share of tokens masked (masked objective).")
    other_strand_share: float = option(
        0.0, "Share of RNAs whose other strand is shown (masked objective)."
    )
    kept_out: str | None = option(
        None,
        "FASTA files, with commas between them, of RNAs that are not trained on, nor what is like "
        "them (masked objective).",
    )
    max_eval_rnas: int = option(1500, "Evaluate on at most N RNAs, each of a cluster held out.")
    packing: bool = option(
        False, "RNAs share one row of tokens_per_batch tokens (rinalmo); meant for a GPU."
    )
    compile_layers: bool = option(False, "Compile each layer: slow to begin, then faster.")
    minutes: float | None = option(
        None,
        "Stop with a checkpoint after N minutes; the same command goes on from there, until "
        "max_steps.",
    )

    def __post_init__(self) -> None:
        needed = {"words": ("dataset_name", "language_model"), "masked": ("fasta",)}
        if self.objective not in needed:
            raise ValueError(f"objective must be masked or words, got {self.objective!r}.")
        missing = [option_name(name) for name in needed[self.objective] if not getattr(self, name)]
        if missing:
            raise ValueError(f"The objective {self.objective!r} needs {' and '.join(missing)}.")
        if self.architecture not in ("esm", "rinalmo"):
            raise ValueError(f"architecture must be esm or rinalmo, got {self.architecture!r}.")
        if self.architecture == "rinalmo" and self.kmer_size != 1:
            raise ValueError(
                f"rinalmo reads single nucleotides, got kmer_size {self.kmer_size}: add "
                "--kmer-size 1, or choose --architecture esm."
            )
        if self.packing and (self.architecture, self.objective) != ("rinalmo", "masked"):
            raise ValueError(
                "packing is for --architecture rinalmo and --objective masked; got "
                f"{self.architecture} and {self.objective}."
            )
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes must be more than 0, got {self.minutes}.")


def option_name(field_name: str) -> str:
    return f"--{field_name.replace('_', '-')}"


__all__ = ["EncoderArguments", "option_name"]
