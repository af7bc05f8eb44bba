"""EBI Search, RNAcentral's API and Europe PMC on this machine, in their own shapes, with faults.

ebi = small_ebi()
ebi.fail("search", "429", "html")   # the next two requests
ebi.duplicate_pages = True          # from now on
with serve(ebi.app) as address:
    settings = ebi.addresses(address)
"""

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from helpers.loopback import serve

EBI_SEARCH = "/ebisearch/ws/rest"
EUROPE_PMC = "/europepmc/webservices/rest"
RNACENTRAL = "/api/v1"

# What a request can meet. "cut" announces more bytes than it sends; "slow" waits `slow_seconds`.
FAULTS = ("429", "429 with Retry-After", "500", "html", "cut", "slow")

Document = dict[str, list[str]]


@dataclass(frozen=True)
class FakeRna:
    """An RNA of RNAcentral. `jobs` are the names under which LitScan looked for it."""

    urs: str
    taxid: int
    sequence: str
    description: str
    rna_type: str = "miRNA"
    species: str = "Homo sapiens"
    common_name: str = "human"
    genes: tuple[str, ...] = ()
    rfam_ids: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.urs}_{self.taxid}"


@dataclass(frozen=True)
class FakePaper:
    """A paper of Europe PMC; LitScan holds it where it has a PMCID.

    `jobs` are the names that it mentions: job -> "title", "abstract", "body", any of them joined
    by a space.
    """

    pmcid: str | None
    pmid: str | None
    title: str
    abstract: str
    doi: str | None = None
    year: int = 2020
    journal: str = "Journal of Small Things"
    license: str | None = "cc by"
    types: tuple[str, ...] = ("research-article", "Journal Article")
    language: str = "eng"
    retracted: bool = False
    jobs: Mapping[str, str] = field(default_factory=dict)
    ppr: str | None = None  # Europe PMC's id of a preprint
    links: tuple[Mapping[str, str], ...] = ()
    full_text: str | None = None  # JATS, where it is open


class FakeEbi:
    """The three services over one set of RNAs and papers; `app` is the ASGI application.

    `requests` holds what was asked: (service, parameters), services being ``rnacentral``,
    ``rnacentral-litscan``, ``rna``, ``search`` and ``status-update-search``.

    Lasting faults: `repeat_cursor` (the next cursor is the one sent), `duplicate_pages` (a page
    begins with the last row of the page before), `extra_hits` (hitCount is too large by N),
    `drop_abstracts` (EBI Search leaves abstracts empty).
    """

    def __init__(self, rnas: Sequence[FakeRna] = (), papers: Sequence[FakePaper] = ()) -> None:
        self.rnas = list(rnas)
        self.papers = list(papers)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.repeat_cursor = False
        self.duplicate_pages = False
        self.drop_abstracts = False
        self.extra_hits = 0
        self.slow_seconds = 0.5
        self._faults: dict[str, deque[str]] = defaultdict(deque)
        self.app = self._make_app()

    def fail(self, service: str, *faults: str) -> None:
        """Meet the service's next requests with faults, one each."""
        unknown = set(faults) - set(FAULTS)
        assert not unknown, f"{unknown} is none of {FAULTS}"
        self._faults[service].extend(faults)

    def asked(self, service: str) -> list[dict[str, Any]]:
        """The parameters of the requests to one service."""
        return [parameters for name, parameters in self.requests if name == service]

    @staticmethod
    def addresses(address: str) -> dict[str, str]:
        """The environment variables that lead a build to these services."""
        return {
            "RNAQA_EBI_SEARCH_URL": f"{address}{EBI_SEARCH}",
            "RNAQA_EUROPEPMC_URL": f"{address}{EUROPE_PMC}",
            "RNAQA_RNACENTRAL_URL": f"{address}{RNACENTRAL}",
        }

    def _make_app(self) -> FastAPI:
        app = FastAPI()

        @app.get(f"{EBI_SEARCH}/{{domain}}")
        async def ebi_search(domain: str, request: Request) -> Response:
            return await self._answer(domain, dict(request.query_params), self._ebi_search)

        @app.get(f"{RNACENTRAL}/rna/{{urs}}/{{taxid}}")
        async def rna(urs: str, taxid: int) -> Response:
            return await self._answer("rna", {"urs": urs, "taxid": taxid}, self._rna)

        @app.get(f"{EUROPE_PMC}/search")
        async def search(request: Request) -> Response:
            return await self._answer("search", dict(request.query_params), self._europe_pmc)

        @app.post(f"{EUROPE_PMC}/status-update-search")
        async def status_update_search(request: Request) -> Response:
            return await self._answer(
                "status-update-search", await request.json(), self._status_updates
            )

        @app.get(f"{EUROPE_PMC}/{{pmcid}}/fullTextXML")
        async def full_text(pmcid: str) -> Response:
            return await self._answer("full text", {"pmcid": pmcid}, self._full_text)

        return app

    async def _answer(
        self,
        service: str,
        parameters: dict[str, Any],
        answer: Callable[[str, dict[str, Any]], Response],
    ) -> Response:
        self.requests.append((service, parameters))
        fault = self._faults[service].popleft() if self._faults[service] else None
        if fault == "slow":
            await asyncio.sleep(self.slow_seconds)
        elif fault is not None:
            return _fault(fault)
        return answer(service, parameters)

    def _ebi_search(self, domain: str, parameters: dict[str, Any]) -> Response:
        if domain not in ("rnacentral", "rnacentral-litscan"):
            return JSONResponse({"error": f"no domain {domain}"}, 404)
        documents = self._rna_documents() if domain == "rnacentral" else self._litscan_documents()
        parameters = {key.lower(): value for key, value in parameters.items()}
        found = [entry for entry in documents if matches(parameters["query"], entry[1])]
        size = int(parameters.get("size", 15))
        if size > 1000:
            return JSONResponse({"error": "size is 1000 at most"}, 400)
        page, following = self._page(found, parameters.get("searchposition", "0"), size)
        fields = parameters.get("fields", "").split(",")
        answer: dict[str, Any] = {
            "hitCount": len(found) + self.extra_hits,
            "entries": [
                {"id": id, "source": domain, "fields": {key: entry.get(key, []) for key in fields}}
                for id, entry in page
            ],
            "facets": [],
        }
        if following is not None:
            answer["searchPosition"] = following
        return JSONResponse(answer)

    def _page(self, found: list[Any], cursor: str, size: int) -> tuple[list[Any], str | None]:
        """A page of what was found, and the cursor of the next one."""
        start = 0 if cursor in ("0", "*", "") else int(cursor.removeprefix("Aoe"))
        end = min(start + size, len(found))
        page = found[max(0, start - self.duplicate_pages) : end] if start < end else []
        if self.repeat_cursor:
            return page, cursor
        # Like the services: the last page has a cursor as well, and the page behind it no rows.
        return page, f"Aoe{end}" if page else None

    def _rna_documents(self) -> list[tuple[str, Document]]:
        return [(rna.id, self._rna_document(rna)) for rna in self.rnas]

    def _rna_document(self, rna: FakeRna) -> Document:
        has_papers = any(set(paper.jobs) & self._jobs_of(rna) for paper in self.papers)
        return {
            "id": [rna.id],
            "entry_type": ["Sequence"],
            "description": [rna.description],
            "rna_type": [rna.rna_type],
            "so_rna_type_name": [rna.rna_type],
            "length": [str(len(rna.sequence))],
            "tax_string": [rna.species],
            "species": [rna.species],
            "taxonomy": [str(rna.taxid)],
            "common_name": [rna.common_name],
            "gene": list(rna.genes),
            "expert_db": ["miRBase"],
            "rfam_id": list(rna.rfam_ids),
            "has_lit_scan": [str(has_papers)],
        }

    @staticmethod
    def _jobs_of(rna: FakeRna) -> set[str]:
        return {rna.urs.lower(), rna.id.lower(), *map(str.lower, rna.jobs)}

    def _litscan_documents(self) -> list[tuple[str, Document]]:
        metadata = [
            (
                f"metadata_{job}_{rna.id.lower()}",
                {
                    "entry_type": ["metadata"],
                    "primary_id": [rna.id.lower()],
                    "database": ["rnacentral"],
                    "job_id": [job],
                    "hit_count": [str(sum(job in paper.jobs for paper in self.papers))],
                },
            )
            for rna in self.rnas
            for job in rna.jobs
        ]
        return metadata + [
            (f"{job}_{paper.pmcid}", self._litscan_paper(job, paper))
            for paper in self.papers
            if paper.pmcid
            for job in paper.jobs
        ]

    def _litscan_paper(self, job: str, paper: FakePaper) -> Document:
        where = paper.jobs[job].split()
        return {
            "entry_type": ["Publication"],
            "job_id": [job],
            "pmcid": [paper.pmcid or ""],
            "pmid": [paper.pmid] if paper.pmid else [],
            "doi": [paper.doi] if paper.doi else [],
            "title": [paper.title],
            "abstract": [] if self.drop_abstracts else [paper.abstract],
            "title_value": [str("title" in where)],
            "abstract_value": [str("abstract" in where)],
            "body_value": [str("body" in where)],
            "abstract_sentence": [paper.abstract] if "abstract" in where else [],
            "body_sentence": [f"Here {job} was measured."] if "body" in where else [],
            "year": [str(paper.year)],
            "journal": [paper.journal],
            "cited_by": ["3"],
            "retracted": [str(paper.retracted)],
        }

    def _rna(self, _: str, parameters: dict[str, Any]) -> Response:
        for rna in self.rnas:
            if (rna.urs, rna.taxid) == (parameters["urs"], parameters["taxid"]):
                return JSONResponse(
                    {
                        "rnacentral_id": rna.id,
                        "sequence": rna.sequence,
                        "length": len(rna.sequence),
                        "description": rna.description,
                        "species": rna.species,
                        "taxid": rna.taxid,
                        "genes": list(rna.genes),
                        "rna_type": rna.rna_type,
                    }
                )
        return JSONResponse({"detail": "Not found."}, 404)

    def _europe_pmc(self, _: str, parameters: dict[str, Any]) -> Response:
        found = [
            paper for paper in self.papers if matches(parameters["query"], _paper_document(paper))
        ]
        size = int(parameters.get("pageSize", 25))
        if size > 1000:
            return JSONResponse({"errCode": 400, "errMsg": "pageSize is 1000 at most"}, 400)
        cursor = parameters.get("cursorMark", "*")
        page, following = self._page(found, cursor, size)
        answer: dict[str, Any] = {
            "version": "6.9",
            "hitCount": len(found) + self.extra_hits,
            "request": {"queryString": parameters["query"], "cursorMark": cursor},
            "resultList": {"result": [_paper_result(paper) for paper in page]},
        }
        if following is not None:
            answer["nextCursorMark"] = following
        return JSONResponse(answer)

    def _full_text(self, _: str, parameters: dict[str, Any]) -> Response:
        for paper in self.papers:
            if paper.full_text and paper.pmcid == parameters["pmcid"]:
                return Response(paper.full_text, 200, media_type="application/xml")
        return Response(status_code=404)

    def _status_updates(self, _: str, body: dict[str, Any]) -> Response:
        ids = {(item["src"], item["extId"]) for item in body["ids"]}
        if len(ids) > 1000:
            return JSONResponse({"errCode": 400, "errMsg": "1000 ids at most"}, 400)
        rows = [
            {"src": source, "extId": id, "statusUpdates": ["RETRACTED"]}
            for paper in self.papers
            if paper.retracted
            for source, id in (("PMC", paper.pmcid), ("MED", paper.pmid))
            if (source, id) in ids
        ]
        return JSONResponse({"articlesWithStatusUpdate": rows})


def _fault(fault: str) -> Response:
    if fault == "429":
        return JSONResponse({"error": "too many requests"}, 429)
    if fault == "429 with Retry-After":
        return JSONResponse({"error": "too many requests"}, 429, {"Retry-After": "1"})
    if fault == "500":
        return JSONResponse({"error": "internal"}, 500)
    if fault == "html":
        return HTMLResponse("<html><body><h1>Service under maintenance</h1></body></html>")
    return StreamingResponse(_half(), 200, {"Content-Length": "1000"}, "application/json")


async def _half() -> Any:
    yield b'{"hitCount": 12, "entries": ['


def _paper_document(paper: FakePaper) -> Document:
    return {
        "pmcid": [paper.pmcid] if paper.pmcid else [],
        "ext_id": [paper.pmid or paper.pmcid or ""],
        "src": ["MED" if paper.pmid else "PMC"],
        "doi": [paper.doi] if paper.doi else [],
        "title": [paper.title],
        "abstract": [paper.abstract],
    }


def _paper_result(paper: FakePaper) -> dict[str, Any]:
    """A row of resultType=core; like there, what is not known is left out."""
    row = {
        "id": paper.pmid or paper.ppr or paper.pmcid,
        "source": "MED" if paper.pmid else "PPR" if paper.ppr else "PMC",
        "pmid": paper.pmid,
        "pmcid": paper.pmcid,
        "doi": paper.doi,
        "title": paper.title,
        "abstractText": paper.abstract or None,
        "pubYear": str(paper.year),
        "journalInfo": {"journal": {"title": paper.journal}},
        "language": paper.language,
        "license": paper.license,
        "isOpenAccess": "Y" if paper.license else "N",
        "pubTypeList": {"pubType": list(paper.types)},
        "commentCorrectionList": {"commentCorrection": list(paper.links)} if paper.links else None,
    }
    return {key: value for key, value in row.items() if value is not None}


_TOKEN = re.compile(r'\(|\)|[^\s():]+:"[^"]*"|[^\s():]+:\(|[^\s():]+:[^\s()]+|"[^"]*"|[^\s()]+')


def matches(query: str, document: Document) -> bool:
    """Whether a document answers a query of fields, AND, OR, NOT and brackets; case is ignored."""
    tokens = deque(_TOKEN.findall(query))
    answer = _any_of(tokens, document, None)
    assert not tokens, f"the query {query!r} cannot be read from {tokens[0]!r} on"
    return answer


def _any_of(tokens: deque[str], document: Document, field_name: str | None) -> bool:
    answer = _all_of(tokens, document, field_name)
    while tokens and tokens[0] == "OR":
        tokens.popleft()
        answer = _all_of(tokens, document, field_name) or answer
    return answer


def _all_of(tokens: deque[str], document: Document, field_name: str | None) -> bool:
    answer = _term(tokens, document, field_name)
    while tokens and tokens[0] not in ("OR", ")"):
        if tokens[0] == "AND":
            tokens.popleft()
        answer = _term(tokens, document, field_name) and answer
    return answer


def _term(tokens: deque[str], document: Document, field_name: str | None) -> bool:
    token = tokens.popleft()
    if token == "NOT":
        return not _term(tokens, document, field_name)
    if token.endswith("("):
        answer = _any_of(tokens, document, token[:-2] or field_name)
        assert tokens, "a bracket is not closed"
        tokens.popleft()
        return answer
    if ":" in token and not token.startswith('"'):
        field_name, token = token.split(":", 1)
    wanted = token.strip('"').lower()
    if field_name is not None:
        return wanted in (value.lower() for value in document.get(field_name.lower(), []))
    return any(wanted in value.lower() for values in document.values() for value in values)


def small_ebi() -> FakeEbi:
    """Three RNAs and seven papers; two of the papers are not to be kept."""
    rnas = [
        FakeRna(
            "URS000039ED8D",
            9606,
            "UAGCUUAUCAGACUGAUGUUGA",
            "Homo sapiens (human) hsa-miR-21-5p",
            genes=("MIR21",),
            jobs=("hsa-mir-21-5p", "mir-21"),
        ),
        FakeRna(
            "URS000039ED8D",
            10090,
            "UAGCUUAUCAGACUGAUGUUGA",
            "Mus musculus (house mouse) mmu-miR-21a-5p",
            species="Mus musculus",
            common_name="house mouse",
            jobs=("mmu-mir-21a-5p",),
        ),
        FakeRna(
            "URS000075C808",
            9606,
            "GACAUCCGGAGGUUCCUCCGGAAUUGCAUC",
            "Homo sapiens (human) HOX transcript antisense RNA (HOTAIR)",
            rna_type="lncRNA",
            genes=("HOTAIR",),
            rfam_ids=("RF01904",),
            jobs=("hotair",),
        ),
    ]
    papers = [
        FakePaper(
            "PMC100",
            "100",
            "miR-21 in made-up tissue",
            "<h4>Background</h4>We made up that miR-21 rises. <h4>Results</h4>It rose 2-fold.",
            doi="10.1000/One",
            jobs={"mir-21": "title abstract", "hsa-mir-21-5p": "body"},
        ),
        FakePaper(
            "PMC101",
            "101",
            "Another look at miR-21",
            "In mice, miR-21a-5p &lt; miR-21 by 3%.",
            license="cc by-nc",
            jobs={"mir-21": "title", "mmu-mir-21a-5p": "abstract"},
        ),
        FakePaper(
            "PMC102",
            "102",
            "HOTAIR binds nothing",
            "HOTAIR bound to none of the proteins.",
            license=None,
            jobs={"hotair": "title abstract body"},
        ),
        FakePaper(
            "PMC103",
            "103",
            "Retracted: HOTAIR binds all",
            "HOTAIR bound to all proteins.",
            retracted=True,
            jobs={"hotair": "title abstract"},
        ),
        FakePaper(
            "PMC104",
            "104",
            "HOTAIR without an abstract",
            "",
            jobs={"hotair": "title"},
        ),
        FakePaper(
            "PMC105",
            None,
            "Where miR-21 is named in the methods alone",
            "Nothing of it is said here.",
            jobs={"mir-21": "body"},
        ),
        FakePaper(None, "106", "A paper that LitScan has not", "It names miR-21 and says no more."),
    ]
    return FakeEbi(rnas, papers)


__all__ = ["FAULTS", "FakeEbi", "FakePaper", "FakeRna", "matches", "serve", "small_ebi"]
