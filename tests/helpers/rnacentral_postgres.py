"""A real PostgreSQL server with RNAcentral's tables, on this machine."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

# The columns that are read, typed and constrained as in RNAcentral's own definitions.
TABLES = """
CREATE SCHEMA rnacen;
SET search_path TO rnacen;
CREATE TABLE rna (upi varchar(26) PRIMARY KEY, len int, seq_short varchar(4000), seq_long text);
CREATE TABLE rnc_taxonomy (id int PRIMARY KEY, name text);
CREATE TABLE rnc_rna_precomputed (
    id varchar(44) PRIMARY KEY, upi varchar(26), taxid int, description varchar(500),
    rna_type varchar(500), is_active boolean
);
CREATE TABLE rfam_model_hits (upi varchar(13), rfam_model_id varchar(20));
CREATE TABLE litscan_job (
    job_id varchar(100) PRIMARY KEY, display_id varchar(100), status varchar(10), hit_count int
);
CREATE TABLE litscan_database (
    id serial PRIMARY KEY, name varchar(50), job_id varchar(100) REFERENCES litscan_job,
    primary_id varchar(100) REFERENCES litscan_job, UNIQUE (name, job_id, primary_id)
);
CREATE TABLE litscan_article (
    pmcid varchar(15) PRIMARY KEY, title text, abstract text, author text, pmid varchar(100),
    doi varchar(100), year int, journal varchar(255), score int, cited_by int, retracted boolean,
    rna_related boolean, probability float, type varchar(50)
);
CREATE TABLE litscan_result (
    id serial PRIMARY KEY, pmcid varchar(15) REFERENCES litscan_article,
    job_id varchar(100) REFERENCES litscan_job,
    id_in_title boolean, id_in_abstract boolean, id_in_body boolean, UNIQUE (pmcid, job_id)
);
"""


MIR21, HOTAIR, LET7 = "URS000039ED8D_9606", "URS000075C808_9606", "URS0000416056_6239"


ROWS = """
INSERT INTO rna VALUES
    ('URS000039ED8D', 22, 'TAGCTTATCAGACTGATGTTGA', NULL),
    ('URS000075C808', 24, NULL, 'GACTCGCCTGTGCTCTGGAGCTTG'),
    ('URS0000416056', 22, 'TGAGGTAGTAGGTTGTATAGTT', NULL),
    ('URS0000000001', 8, 'ACGTACGT', NULL),
    ('URS0000000002', 8, 'ACGT*CGT', NULL),
    ('URS0000000003', 8, 'ACGTACGG', NULL);
INSERT INTO rnc_taxonomy VALUES (9606, 'Homo sapiens'), (6239, 'Caenorhabditis elegans');
INSERT INTO rnc_rna_precomputed VALUES
    ('URS000039ED8D_9606', 'URS000039ED8D', 9606, 'Homo sapiens hsa-miR-21-5p', 'miRNA', true),
    ('URS000039ED8D_10090', 'URS000039ED8D', 10090, 'Mus musculus mmu-miR-21a-5p', 'miRNA', true),
    ('URS000075C808_9606', 'URS000075C808', 9606, 'Homo sapiens HOX antisense RNA', 'lncRNA', true),
    ('URS0000416056_6239', 'URS0000416056', 6239, 'Caenorhabditis elegans let-7', 'miRNA', true),
    ('URS0000000001_9606', 'URS0000000001', 9606, 'Homo sapiens withdrawn', 'ncRNA', false),
    ('URS0000000002_9606', 'URS0000000002', 9606, 'Homo sapiens damaged', 'ncRNA', true),
    ('URS0000000003_9606', 'URS0000000003', 9606, 'Homo sapiens never found', 'ncRNA', true);
INSERT INTO rfam_model_hits VALUES ('URS0000416056', 'RF00027'), ('URS0000416056', 'RF00027');
INSERT INTO litscan_job VALUES
    ('hsa-mir-21-5p', 'hsa-miR-21-5p', 'success', 2), ('mir-21', 'miR-21', 'success', 9),
    ('urs000039ed8d_9606', 'URS000039ED8D_9606', 'success', 1),
    ('hotair', 'HOTAIR', 'success', 4), ('human', 'human', 'success', 800),
    ('let-7', 'let-7', 'success', 3), ('gone', 'GONE1', 'success', 3),
    ('damaged', 'DAMG1', 'success', 1), ('never', 'NEVR1', 'success', 0),
    ('mimat0000076', 'MIMAT0000076', 'success', 5), ('hgnc:33510', 'HGNC:33510', 'success', 0),
    ('urs000075c808_9606', 'URS000075C808_9606', 'success', 0),
    ('urs0000416056_6239', 'URS0000416056_6239', 'pending', NULL),
    ('urs0000000001_9606', 'URS0000000001_9606', 'success', 0),
    ('urs0000000002_9606', 'URS0000000002_9606', 'success', 0),
    ('urs0000000003_9606', 'URS0000000003_9606', 'success', 0);
INSERT INTO litscan_database (name, job_id, primary_id) VALUES
    ('rnacentral', 'hsa-mir-21-5p', 'urs000039ed8d_9606'),
    ('rnacentral', 'mir-21', 'urs000039ed8d_9606'),
    ('mirbase', 'hsa-mir-21-5p', 'mimat0000076'),
    ('rnacentral', 'hotair', 'urs000075c808_9606'),
    ('rnacentral', 'human', 'urs000075c808_9606'),
    ('hgnc', 'hotair', 'hgnc:33510'),
    ('rnacentral', 'let-7', 'urs0000416056_6239'),
    ('rnacentral', 'gone', 'urs0000000001_9606'),
    ('rnacentral', 'damaged', 'urs0000000002_9606'),
    ('rnacentral', 'never', 'urs0000000003_9606');
INSERT INTO litscan_article
    (pmcid, title, abstract, pmid, doi, year, journal, retracted, rna_related, type)
VALUES
    ('PMC1', 'miR-21 in glioma', 'miR-21 lowers PDCD4.', '101', '10.1/a', 2010, 'J', false, true,
     'Research article'),
    ('PMC2', 'HOTAIR and miR-21', NULL, NULL, '10.1/b', 2012, 'K', false, NULL, 'Review'),
    ('PMC3', 'let-7 in worms', 'let-7 times the molt.', '103', NULL, 2003, 'L', true, true, NULL),
    ('PMC4', 'A pump', 'We built a pump.', '104', NULL, 2004, 'M', false, false, NULL),
    ('PMC5', 'Human health', 'Humans.', '105', NULL, 2005, 'N', false, true, 'Research article');
INSERT INTO litscan_result (pmcid, job_id, id_in_title, id_in_abstract, id_in_body) VALUES
    ('PMC1', 'mir-21', true, false, true), ('PMC1', 'hsa-mir-21-5p', false, true, NULL),
    ('PMC1', 'urs000039ed8d_9606', false, false, true),
    ('PMC2', 'mir-21', true, false, false), ('PMC2', 'hotair', true, false, true),
    ('PMC3', 'let-7', true, true, false), ('PMC4', 'hotair', false, false, true),
    ('PMC5', 'human', true, true, true), ('PMC3', 'gone', false, false, true);
"""


class Server:
    """PostgreSQL in a folder of its own, reached through a socket there."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.programs = programs
        self.dsn = f"postgresql://reader@/postgres?host={folder}"

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
        if os.geteuid() == 0:  # the server rejects to run as root
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        log = self.folder / "log"
        with log.open("ab") as file:
            run = subprocess.run(command, stdout=file, stderr=file, timeout=60, cwd=self.folder)
        if run.returncode:
            pytest.fail(f"{' '.join(command)} failed:\n{log.read_text()[-2000:]}")

    def start(self) -> None:
        options = f"-F -c listen_addresses= -c max_connections=10 -k {self.folder}"
        self.run("pg_ctl", "-w", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")


def find_programs() -> Path | None:
    """Where initdb and pg_ctl are: Debian keeps them out of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).parent] if found else []
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("PostgreSQL does not run as root, and there is no setpriv to leave it")
    # pytest's folders are closed to others, and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        server = Server(folder, programs)
        server.run("initdb", "-U", "reader", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
        server.start()
        try:
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                connection.execute(TABLES + ROWS)
            yield server
        finally:
            server.stop()
