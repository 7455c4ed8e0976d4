"""Defines what the provider's prompt cache did for a run, in tokens and in dollars."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CacheUse:
    """How much of a run's input came from the provider's prompt cache, over all attempts of the run."""

    input_tokens: int = 0
    """All tokens of the requests, whether they came from the cache or not."""
    read_tokens: int = 0
    """The tokens that came from the cache."""
    saved_usd: float = 0.0
    """How many US dollars less the run cost than without the cache. It is negative if writing to the cache cost more
    than reading from it saved, and 0 if the price of the model is not known."""

    def __str__(self) -> str:
        if not self.read_tokens and not self.saved_usd:
            return "nothing was read from the cache" if self.input_tokens else ""
        share = self.read_tokens / self.input_tokens if self.input_tokens else 0
        text = f"{share:.0%} of the input tokens were read from the cache"
        if self.saved_usd < 0:
            return f"{text}; writing to it cost ${-self.saved_usd:.4f} more than that saved"
        return f"{text}, which saved ${self.saved_usd:.4f}" if self.saved_usd else text
