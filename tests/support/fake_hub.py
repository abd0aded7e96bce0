"""A hub on loopback that answers the requests of huggingface_hub for pushing and pulling models."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_writer"
USER = "writer"  # may write to its own repositories only
LARGE = (".bin", ".safetensors")  # uploaded by the protocol for large files
BRANCHES = r"(?P<revision>[^/]+)"
REPO = r"(?P<repo_id>[\w.-]+/[\w.-]+)"


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    message: str
    files: dict[str, bytes]

    def text(self, path: str) -> str:
        return self.files[path].decode("utf-8")


@dataclass
class Repo:
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # the last commit of each branch and "refs/pr/N"

    def add(self, ref: str, parent: str | None, message: str, files: dict[str, bytes]) -> Commit:
        content = {path: hashlib.sha1(data).hexdigest() for path, data in files.items()}
        oid = hashlib.sha1(json.dumps([parent, message, content, len(self.commits)]).encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, message, files)
        self.refs[ref] = oid
        return self.commits[oid]

    def find(self, revision: str) -> Commit | None:
        return self.commits.get(self.refs.get(revision, revision))

    def history(self, ref: str = "main") -> list[Commit]:
        """List the commits of a branch, oldest first."""
        found, oid = [], self.refs[ref]
        while oid is not None:
            found.append(self.commits[oid])
            oid = self.commits[oid].parent
        return found[::-1]


class HubError(Exception):
    """An error that is sent to the client: its status, and the code that says what is missing."""

    def __init__(self, status: int, message: str, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class FakeHub(ThreadingHTTPServer):
    """
    Keep repositories by their names, and the large files that were uploaded.

    `trouble` makes the next commits fail: "refuse" with status 403, "break" by closing the connection while the client
    sends. Clients set it by a POST to /trouble/<how>.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}  # by their SHA-256
        self.trouble = "none"
        self.lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not print errors of connections that were closed on purpose."""

    def repo(self, repo_id: str) -> Repo:
        if repo_id not in self.repos:
            raise HubError(404, "Repository not found", "RepoNotFound")
        return self.repos[repo_id]

    def commit(self, repo_id: str, revision: str) -> Commit:
        if (commit := self.repo(repo_id).find(revision)) is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit


@contextmanager
def run_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    thread = threading.Thread(target=hub.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def answer_request(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        try:
            for method, pattern, handle in ROUTES:
                match = re.fullmatch(pattern, url.path)
                if match and method == self.command:
                    groups = {name: unquote(value or "") for name, value in match.groupdict().items()}
                    if handle is Handler.add_commit and self.server.trouble == "break":
                        self.rfile.read(100)
                        self.close_connection = True
                        return
                    self.body = self.read_body()
                    self.check_rights(groups.get("repo_id"), writes=method == "POST")
                    with self.server.lock:
                        handle(self, **groups)
                    return
            raise HubError(404, f"{self.command} {self.path} is unknown to this hub")
        except HubError as error:
            headers = {"X-Error-Message": error.message}
            if error.code:
                headers["X-Error-Code"] = error.code
            self.send({"error": error.message}, error.status, headers)

    do_GET = do_POST = do_PUT = do_HEAD = answer_request  # noqa: N815

    def check_rights(self, repo_id: str | None, writes: bool) -> None:
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        private = repo_id in self.server.repos and self.server.repos[repo_id].private
        if not known and (private or (writes and repo_id)):
            raise HubError(401, "Invalid username or password.")
        if writes and repo_id and not repo_id.startswith(f"{USER}/") and "create_pr" not in self.query:
            raise HubError(403, f"You don't have the rights to write to {repo_id}")

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def send(self, content: Any = None, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def set_trouble(self, how: str) -> None:
        self.server.trouble = how
        self.send()

    def tell_user(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise HubError(401, "Invalid username or password.")
        self.send({"type": "user", "name": USER, "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    def create_repo(self) -> None:
        wanted = json.loads(self.body)
        repo_id = f"{wanted.get('organization') or USER}/{wanted['name']}"
        self.check_rights(repo_id, writes=True)
        status = 409 if repo_id in self.server.repos else 200
        if status == 200:
            private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
            repo = self.server.repos[repo_id] = Repo(private)
            repo.add("main", None, "initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        self.send({"url": f"{self.server.endpoint}/{repo_id}"}, status)

    def validate_yaml(self) -> None:
        match = re.match(r"---\r?\n(.*?)\r?\n---", json.loads(self.body)["content"], re.DOTALL)
        try:
            valid = match is not None and isinstance(yaml.safe_load(match.group(1)), dict)
        except yaml.YAMLError:
            valid = False
        errors = [] if valid else [{"message": "the metadata are not a mapping"}]
        self.send({"errors": errors, "warnings": []}, 200 if valid else 400)

    def tell_upload_modes(self, repo_id: str, revision: str) -> None:
        known = self.server.commit(repo_id, revision).files
        self.send(
            {
                "files": [
                    {
                        "path": (path := file["path"]),
                        "uploadMode": "lfs" if path.endswith(LARGE) else "regular",
                        "shouldIgnore": False,
                        "oid": object_id(path, known[path]) if path in known else None,
                    }
                    for file in json.loads(self.body)["files"]
                ]
            }
        )

    def offer_uploads(self, repo_id: str) -> None:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            if wanted["oid"] not in self.server.large:
                href = f"{self.server.endpoint}/large/{wanted['oid']}"
                wanted["actions"] = {"upload": {"href": href}}
            objects.append(wanted)
        self.send({"transfer": "basic", "objects": objects})

    def take_upload(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise HubError(400, f"The content is not that of {oid}")
        self.server.large[oid] = self.body
        self.send()

    def add_commit(self, repo_id: str, revision: str) -> None:
        if self.server.trouble == "refuse":
            raise HubError(403, f"You don't have the rights to write to {repo_id}")
        repo, parent = self.server.repo(repo_id), self.server.commit(repo_id, revision)
        files, summary = dict(parent.files), ""
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            match operation["key"]:
                case "header":
                    summary = value["summary"]
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    if value["oid"] not in self.server.large:
                        raise HubError(400, f"{value['path']} was not uploaded")
                    files[value["path"]] = self.server.large[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        ref = revision
        if "create_pr" in self.query:
            ref = f"refs/pr/{1 + sum(name.startswith('refs/pr/') for name in repo.refs)}"
        commit = repo.add(ref, parent.oid, summary, files)
        url = f"{self.server.endpoint}/{repo_id}"
        self.send(
            {
                "commitUrl": f"{url}/commit/{commit.oid}",
                "commitOid": commit.oid,
                "pullRequestUrl": f"{url}/discussions/{ref.split('/')[-1]}" if "create_pr" in self.query else None,
            }
        )

    def create_branch(self, repo_id: str, branch: str) -> None:
        repo = self.server.repo(repo_id)
        if branch in repo.refs:
            raise HubError(409, "Reference already exists")
        repo.refs[branch] = repo.refs["main"]
        self.send()

    def list_tree(self, repo_id: str, revision: str) -> None:
        files = self.server.commit(repo_id, revision).files
        self.send([file_entry(path, data) for path, data in files.items()])

    def tell_model(self, repo_id: str, revision: str = "main") -> None:
        commit = self.server.commit(repo_id, revision)
        self.send(
            {
                "id": repo_id,
                "modelId": repo_id,
                "sha": commit.oid,
                "private": self.server.repos[repo_id].private,
                "tags": [],
                "siblings": [{"rfilename": path} for path in commit.files],
            }
        )

    def send_file(self, repo_id: str, revision: str, path: str) -> None:
        commit = self.server.commit(repo_id, revision)
        if path not in commit.files:
            raise HubError(404, "Entry not found", "EntryNotFound")
        data = commit.files[path]
        self.send(data, headers={"X-Repo-Commit": commit.oid, "ETag": f'"{object_id(path, data)}"'})


def object_id(path: str, data: bytes) -> str:
    """Return the name of the content in git, or the SHA-256 of a large file."""
    if path.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def file_entry(path: str, data: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(data), "oid": object_id(path, data)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": entry["oid"], "size": len(data), "pointerSize": 100}
    return entry


ROUTES = [
    ("POST", r"/trouble/(?P<how>\w+)", Handler.set_trouble),
    ("GET", r"/api/whoami-v2", Handler.tell_user),
    ("POST", r"/api/repos/create", Handler.create_repo),
    ("POST", r"/api/validate-yaml", Handler.validate_yaml),
    ("POST", rf"/api/models/{REPO}/preupload/{BRANCHES}", Handler.tell_upload_modes),
    ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", Handler.offer_uploads),
    ("PUT", r"/large/(?P<oid>\w+)", Handler.take_upload),
    ("POST", rf"/api/models/{REPO}/commit/{BRANCHES}", Handler.add_commit),
    ("POST", rf"/api/models/{REPO}/branch/(?P<branch>[^/]+)", Handler.create_branch),
    ("GET", rf"/api/models/{REPO}/tree/{BRANCHES}", Handler.list_tree),
    ("GET", rf"/api/models/{REPO}/revision/{BRANCHES}", Handler.tell_model),
    ("GET", rf"/api/models/{REPO}", Handler.tell_model),
    ("HEAD", rf"/{REPO}/resolve/{BRANCHES}/(?P<path>.+)", Handler.send_file),
    ("GET", rf"/{REPO}/resolve/{BRANCHES}/(?P<path>.+)", Handler.send_file),
]
