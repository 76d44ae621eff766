import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.actions import ActionTokenizer, NotAnAction
from edge.errors import UsageError

# Five edges -1, -0.5, 0, 0.5, 1; ids 95 to 99.
SMALL = ActionTokenizer(base=100, bins=5)
# 32000 ids, 3 special ones at the end, 10 left free: base 31987.
LLAMA = ActionTokenizer.for_vocabulary(32000, 3)
actions = st.lists(st.floats(-1, 1), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("action", "token", "decoded"),
    [
        (-1.0, 99, -0.75),  # bin 1: [-1, -0.5)
        (-0.75, 99, -0.75),
        (-0.5, 98, -0.25),  # an edge belongs to the bin above it
        (-0.01, 98, -0.25),
        (0.0, 97, 0.25),
        (0.5, 96, 0.75),
        (0.999, 96, 0.75),
        (1.0, 95, 0.75),  # bin 5 holds 1.0 alone and decodes like bin 4
    ],
)
def test_five_bins_by_hand(action: float, token: int, decoded: float) -> None:
    assert SMALL.encode([action]).tolist() == [token]
    assert SMALL.decode([token]) == pytest.approx([decoded])


@pytest.mark.parametrize(
    ("action", "token", "decoded"),
    [
        (-1.0, 31986, -254 / 255),  # base - 1: the lowest action has the highest id
        (0.0, 31859, 0.0),  # 127.5 widths of 2 / 255 above -1: bin 128, 31987 - 128
        (1.0, 31731, 254 / 255),  # base - 256
    ],
)
def test_256_bins_by_hand(action: float, token: int, decoded: float) -> None:
    assert (LLAMA.base, LLAMA.bins) == (31987, 256)
    assert LLAMA.encode([action]).tolist() == [token]
    assert LLAMA.decode([token]) == pytest.approx([decoded], abs=1e-12)


def test_the_ids_are_the_tokens_that_decode() -> None:
    assert LLAMA.ids == range(31731, 31987)
    assert len(LLAMA.decode(LLAMA.ids)) == 256


def test_actions_beyond_the_range_are_clipped() -> None:
    assert SMALL.encode([-7.0, 7.0]).tolist() == [99, 95]


def test_a_chunk_keeps_its_shape() -> None:
    chunk = np.linspace(-1, 1, 2 * 10 * 7, dtype=np.float32).reshape(2, 10, 7)
    assert LLAMA.encode(chunk).shape == LLAMA.decode(LLAMA.encode(chunk)).shape == (2, 10, 7)


@given(actions)
def test_decoding_is_within_half_a_bin(values: list[float]) -> None:
    decoded = LLAMA.decode(LLAMA.encode(values))
    assert np.abs(decoded - values).max() <= 1 / 255 + 1e-12


@given(st.integers(2, 1024), st.data())
def test_encoding_undoes_decoding(bins: int, data: st.DataObject) -> None:
    tokenizer = ActionTokenizer(base=5000, bins=bins)
    # The lowest id, of the value 1.0, shares its centre with the next.
    tokens = data.draw(st.lists(st.sampled_from(tokenizer.ids[1:]), min_size=1))
    assert tokenizer.encode(tokenizer.decode(tokens)).tolist() == tokens


@given(actions)
def test_a_higher_action_never_has_a_higher_id(values: list[float]) -> None:
    assert (np.diff(LLAMA.encode(sorted(values))) <= 0).all()


@pytest.mark.parametrize("token", [-1, 0, 31730, 31987, 31999])
def test_a_token_that_is_no_action_is_an_error(token: int) -> None:
    with pytest.raises(NotAnAction, match=rf"token {token} at \(1, 2\).*31731 to 31986") as refusal:
        LLAMA.decode([[31800] * 3, [31800, 31800, token]])
    assert refusal.value.exit_code == 4


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_any_whole_number_type_is_read(dtype: type) -> None:
    assert SMALL.decode(np.array([99, 95], dtype)).tolist() == [-0.75, 0.75]


@pytest.mark.parametrize("ids", [[99.0], [True], [None]])
def test_ids_that_are_no_whole_numbers_are_an_error(ids: list) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        SMALL.decode(ids)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_no_number_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match=rf"{value} at \(1,\)"):
        LLAMA.encode([0.0, value])


@pytest.mark.parametrize(("base", "bins"), [(255, 256), (-5, 2), (100, 1), (100, 0)])
def test_bins_that_do_not_fit_are_an_error(base: int, bins: int) -> None:
    with pytest.raises(UsageError):
        ActionTokenizer(base, bins)
