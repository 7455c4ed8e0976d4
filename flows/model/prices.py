"""What a reply of the model costs, by the list prices of https://github.com/pydantic/genai-prices, offline."""

from dataclasses import dataclass
from typing import Final

from genai_prices import calc_price, data_snapshot
from genai_prices.types import Provider as PriceList

from flows.model.usage import Usage
from flows.parameters.provider import Provider

_PROVIDER_IDS: Final[dict[Provider, str]] = {"anthropic": "anthropic", "bedrock": "aws"}
_MILLION: Final = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}


@dataclass(frozen=True)
class ModelPrice:
    """A model's list price, or, of one that the list does not name, that of the dearest Claude model."""

    provider_id: str
    model_id: str
    is_known: bool

    @classmethod
    def of(cls, provider: Provider, model_id: str) -> "ModelPrice":
        """Look a model up as its provider names it: an id, a Bedrock inference profile, or an ARN."""
        provider_id, name = _PROVIDER_IDS[provider], model_id.removesuffix("[1m]")
        price = cls(provider_id, name, is_known=True)
        try:
            price.usd(_MILLION)
        except LookupError:
            return _dearest(provider_id)
        return price

    def usd(self, usage: Usage) -> float:
        """Return the price of one reply in US dollars."""
        # Bedrock's replies hold Anthropic's usage object, whatever the provider charges for it.
        counted = {"input_tokens": 0, "output_tokens": 0, **usage}
        _, tokens = _list_of("anthropic").extract_usage({"model": self.model_id, "usage": counted})
        return float(calc_price(tokens, self.model_id, provider_id=self.provider_id).total_price)


def _dearest(provider_id: str) -> ModelPrice:
    # The list calls all regional inference profiles by one name, which no profile has.
    ids = (model.id.replace("regional.", "us.") for model in _list_of(provider_id).models)
    prices = [ModelPrice(provider_id, name, is_known=False) for name in ids if "claude" in name]
    return max(prices, key=lambda price: price.usd(_MILLION))


def _list_of(provider_id: str) -> PriceList:
    return next(each for each in data_snapshot.get_snapshot().providers if each.id == provider_id)
