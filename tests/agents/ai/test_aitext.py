from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core import aitext
from agents.core.aitext import MAX_BUBBLE_CHARS, MAX_BUBBLES, bubbles, clean, links, whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Olá!", ("Olá!",)),
        ("um\n\ndois", ("um\n\ndois",)),  # one bubble is cheaper than two
        ("", ()),
        (" \n ", ()),
        ("**Negrito** e # não", ("*Negrito* e # não",)),
        ("# Título\ntexto", ("Título\ntexto",)),
        ("a\x00b\u202ec", ("abc",)),
        ("veja http://evil.test/x agora", ("veja agora",)),
        ("veja evil.com/x agora", ("veja agora",)),
        ("veja www.evil.test", ("veja",)),
        ("veja evil.com.ar/x agora", ("veja agora",)),
        ("veja evil.gob.mx ou evil.cl", ("veja ou",)),
        ("veja com.com.ar, evil.com. ou evil.com.-", ("veja , . ou .-",)),
        ("peça [a [azul](https://evil.com/a)", ("peça [a azul",)),
        ("[clique](javascript:alert)", ("clique javascript:alert",)),
        ("[clique](https://evil.com/?q=1)", ("clique",)),
        ("Pronto.Obrigado", ("Pronto.Obrigado",)),  # no link: a missing space
        ("contato@loja.com.br", ("contato@loja.com.br",)),
        ("contato@loja.com.ar", ("contato@loja.com.ar",)),
        ("arquivo nota.pdf, R$ 1.299,90", ("arquivo nota.pdf, R$ 1.299,90",)),
    ],
)
def test_what_is_sent_of_what_the_model_wrote(text: str, said: tuple[str, ...]) -> None:
    assert bubbles(text) == said


@pytest.mark.parametrize("piece", ["[", "[a](", "com.", "com.-", "a+", "a-", "abc.", "a.com+"])
def test_the_work_for_an_answer_grows_with_its_length_alone(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Thirty times as long as one may be: the square of it would take an hour.
    text = piece * (360_000 // len(piece)) + "zz"
    monkeypatch.setattr(aitext, "MAX_BUBBLE_CHARS", len(text))

    assert "".join(bubbles(text))[-2:] == "zz"
    assert links([text]) <= {"a.com"}


def test_a_link_of_a_passage_may_be_sent_whatever_stands_after_it() -> None:
    allowed = links(["Site: https://Loja.com.br/ajuda."])

    assert bubbles("Veja https://loja.com.br/ajuda!", allowed=allowed) == (
        "Veja https://loja.com.br/ajuda!",
    )


@pytest.mark.parametrize(
    "told",
    [
        '{"url":"https://loja.com.br/p/1","price":"10.00"}',  # a tool's result: JSON, no spaces
        r'{"text":"https://loja.com.br/p/1\nNovo"}',
        r'{"truncated":true,"text":"{\"url\":\"https://loja.com.br/p/1\",\"n\":1',
        '<a href="https://loja.com.br/p/1">aqui</a>',
        "<https://loja.com.br/p/1>",
        "`https://loja.com.br/p/1`.",
    ],
)
def test_a_link_between_the_marks_of_json_html_or_markdown_may_be_sent(told: str) -> None:
    assert bubbles(
        "Veja https://loja.com.br/p/1 e <https://loja.com.br/p/1>", allowed=links([told])
    ) == ("Veja https://loja.com.br/p/1 e <https://loja.com.br/p/1>",)


WORDS = st.sampled_from(
    [
        "https://loja.com.br/a",
        "(x.me/y)",
        "t.co",
        "loja.com.ar/a",
        "www.x",
        "a://b",
        "fim.",
        "R$1.299,90",
        "às",
        "A.COM",
    ]
)
SPACES = st.sampled_from([" ", "\n", "\t", "\u00a0", "\u2003", "\u3000"])


@given(st.lists(st.tuples(WORDS, SPACES), min_size=1, max_size=8))
def test_every_link_that_would_be_removed_is_found(pairs: list[tuple[str, str]]) -> None:
    text = "".join(word + space for word, space in pairs)

    (said,) = bubbles(text, allowed=links([text]))

    assert said.split() == text.split()


def test_a_link_that_only_begins_like_an_allowed_one_is_removed() -> None:
    allowed = links(["https://loja.com.br"])

    assert bubbles("https://loja.com.br.evil.test https://loja.com.br?to=x", allowed=allowed) == ()
    assert (
        bubbles('https://loja.com.br"@evil.test https://loja.com.br>.evil.test', allowed=allowed)
        == ()
    )


def test_an_answer_too_long_for_one_bubble_is_split_at_blank_lines() -> None:
    long, short = "a" * 4_000, "b" * 200

    assert bubbles(f"{long}\n\n{short}\n\n{short}") == (long, f"{short}\n\n{short}")


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ("Temos três modelos. O azul custa R$ 1.", "Temos três modelos."),
        ("Chega em 5 dias! Para acompanhar, abra htt", "Chega em 5 dias!"),
        ("Opções:\n- azul: R$ 199,90\n- preto: R$ 1", "Opções:\n- azul: R$ 199,90"),
        ("Abrimos às nove. Ficamos na R. das Flo", "Abrimos às nove."),
        ("O valor é R$ 1", ""),
        ("", ""),
    ],
)
def test_of_an_answer_that_was_cut_off_whole_sentences_and_lines_are_kept(
    cut: str, kept: str
) -> None:
    assert whole(cut) == kept


def test_nothing_is_left_out_of_an_answer_that_has_room_in_the_bubbles() -> None:
    paragraph = "palavra " * 300
    text = "\n\n".join([paragraph] * 4)  # no two of them fit into one bubble

    said = bubbles(text)

    assert " ".join(said).split() == text.split()
    assert len(said) <= MAX_BUBBLES


@given(st.text(max_size=200).map(lambda text: text * 100))
def test_bubbles_are_few_and_fit(text: str) -> None:
    said = bubbles(text)

    assert len(said) <= MAX_BUBBLES
    assert all(0 < len(bubble) <= MAX_BUBBLE_CHARS for bubble in said)


@given(st.text(st.characters(codec=None), max_size=50), st.integers(0, 60))
def test_clean_text_can_be_stored_and_is_stable(text: str, limit: int) -> None:
    once = clean(text, limit)

    assert len(once) <= limit
    assert "\x00" not in once
    assert clean(once.encode().decode(), limit) == once
