"""A language model's answers by rule: claims copied from abstracts, some of them wrong."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

INVENTED = "It was found in 7654321 of them."


def scribe(body: Mapping[str, Any]) -> Any:
    """The answer to a request of the build, as `fake_openai.FakeOpenAi.answer`.

    Of each paper, the first sentence that names the RNA becomes a claim. Claims on papers with an
    even number get a number that no paper has; asked to repair, every other of these is fixed.
    """
    data = json.loads(body["messages"][-1]["content"])
    kind = body["response_format"]["json_schema"]["name"]
    if kind == "claims":
        claims = [
            _claim(sentence, paper["paper"], INVENTED if paper["paper"] % 2 == 0 else "")
            for paper in data["papers"]
            for sentence in _naming(data["names"][0], paper["abstract"])
        ]
        return {"claims": claims[: data["most_claims"]]}
    if kind == "repair":
        return {"claims": [_mend(claim) for claim in data["claims"] if claim["claim"] % 2]}
    if kind == "combine":
        return {"groups": [[claim["claim"]] for claim in reversed(data["claims"])]}
    return {
        "questions": [
            {
                "claim": claim["claim"],
                "category": "function",
                "question": f"What is known of this RNA ({'I' * claim['claim']})?",
                "answer": claim["text"],
            }
            for claim in data["claims"]
        ]
    }


def _naming(name: str, abstract: str) -> Iterator[str]:
    sentences = [f"{part.rstrip('.')}." for part in abstract.split(". ")]
    yield from [sentence for sentence in sentences if name in sentence][:1]


def _claim(sentence: str, paper: int, more: str) -> dict[str, Any]:
    return {"text": f"{sentence} {more}".strip(), "papers": [paper], "quote": sentence}


def _mend(claim: Mapping[str, Any]) -> dict[str, Any]:
    text = claim["text"].replace(INVENTED, "").strip()
    return {**{key: claim[key] for key in ("claim", "papers", "quote")}, "text": text}
