from drink_frontend.sessions.phrases import Phrase, Refused


def test_a_refusal_carries_what_to_say() -> None:
    refused = Refused(Phrase.POOR)
    assert refused.phrase is Phrase.POOR
    assert str(refused) == "poor"


def test_no_two_phrases_are_the_same() -> None:
    assert len(Phrase) == len(Phrase.__members__)
