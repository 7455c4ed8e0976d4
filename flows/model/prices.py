"""Computes the cost of a reply offline, from the list prices of https://github.com/pydantic/genai-prices."""

from dataclasses import dataclass
from typing import Final

from genai_prices import calc_price, data_snapshot
from genai_prices.types import Provider as PriceList

from flows.model.providers import PROVIDERS
from flows.model.usage import INPUT_COUNTS, Usage

_MILLION: Final = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}


@dataclass(frozen=True)
class ModelPrice:
    """A model's list price. For a model that is not on the list, it is the price of the most expensive Claude model."""

    price_list_id: str
    model_id: str
    is_known: bool

    @classmethod
    def of(cls, provider: str, model_id: str) -> "ModelPrice":
        """Return the price of a provider's model. `model_id` may also be a Bedrock inference profile or an ARN."""
        price_list_id, name = PROVIDERS[provider].price_list_id, model_id.removesuffix("[1m]")
        price = cls(price_list_id, name, is_known=True)
        try:
            price.usd(_MILLION)
        except LookupError:
            return _most_expensive(price_list_id)
        return price

    def usd(self, usage: Usage) -> float:
        """Return the cost of one reply with this usage, in US dollars."""
        # Bedrock's replies contain the usage object of Anthropic's API too.
        complete_usage = {"input_tokens": 0, "output_tokens": 0, **usage}
        _, tokens = _price_list("anthropic").extract_usage({"model": self.model_id, "usage": complete_usage})
        return float(calc_price(tokens, self.model_id, provider_id=self.price_list_id).total_price)

    def usd_without_cache(self, usage: Usage) -> float:
        """Return what the same reply would have cost without the prompt cache, in US dollars."""
        input_tokens = sum(usage.get(name) or 0 for name in INPUT_COUNTS)
        return self.usd({**usage, **dict.fromkeys(INPUT_COUNTS, 0), "cache_creation": {}, "input_tokens": input_tokens})


def _most_expensive(price_list_id: str) -> ModelPrice:
    # The list writes "regional." for the prefix of any inference profile, but a look-up needs a real prefix.
    ids = (model.id.replace("regional.", "us.") for model in _price_list(price_list_id).models)
    prices = [ModelPrice(price_list_id, name, is_known=False) for name in ids if "claude" in name]
    return max(prices, key=lambda price: price.usd(_MILLION))


def _price_list(list_id: str) -> PriceList:
    return next(prices for prices in data_snapshot.get_snapshot().providers if prices.id == list_id)
