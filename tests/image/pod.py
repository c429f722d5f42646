"""Is a pod for the image's program: names, certificates, a Kubernetes API, a platform behind TLS. Judges what it sees from outside.

Run by run.sh in namespaces of its own. It must not look into the program, and leaves nothing behind but its folder.
"""

import ctypes
import fcntl
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

WORK = pathlib.Path(sys.argv[1])
ROOT = WORK / "root"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "debug"
CACHE = pathlib.Path(
    os.environ.get("GENESYS_OAUTH_OPERATOR_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "genesys-oauth-operator"
)
KUBECTL = CACHE / "control-plane" / "bin" / "kubectl"
ORGANIZATION_SECRET = "the-image-test-s-own-secret"
LIMIT = 60
running = []


def fail(words, *files):
    for file in files:
        print(file.read_text()[-4000:], file=sys.stderr)
    sys.exit(f"image: error: {words}")


def until(what, ask, *files):
    """Asks until there is an answer; a wait that takes too long shows what was seen."""
    end = time.monotonic() + LIMIT
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            fail(f"{what}: not within {LIMIT} s", *files)
        time.sleep(0.1)


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up_and_running = 0x1 | 0x40
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", up_and_running))


def answer_names():
    """A DNS server that knows names below image.test, and counts who was asked for."""
    asked = set()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def serve():
        while True:
            query, sender = server.recvfrom(512)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, question = ".".join(labels).lower(), query[12 : at + 5]
            asked.add(name)
            known, wants_ipv4 = name.endswith(".image.test"), question[-4:-2] == b"\0\1"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4" + socket.inet_aton("127.0.0.1") if known and wants_ipv4 else b""
            flags = b"\x81\x80" if known else b"\x81\x83"
            server.sendto(query[:2] + flags + b"\0\1" + (b"\0\1" if record else b"\0\0") + b"\0\0\0\0" + question + record, sender)

    threading.Thread(target=serve, daemon=True).start()
    return asked


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], cwd=WORK, check=True, capture_output=True)


def certificates():
    """An authority that the image is told of, one that it is not, and a certificate of each for the platform's name."""
    for authority in ("known", "unknown"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                f"/CN={authority}", "-addext", "keyUsage=critical,keyCertSign", "-keyout", f"{authority}.key", "-out", f"{authority}.crt")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=platform", "-keyout",
                f"{authority}-platform.key", "-out", f"{authority}-platform.csr")
        (WORK / "names").write_text("subjectAltName=DNS:*.image.test\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", f"{authority}-platform.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-days", "2",
                "-set_serial", "7", "-extfile", "names", "-out", f"{authority}-platform.crt")
    with (ROOT / "etc/ssl/certs/ca-certificates.crt").open("a") as bundle:
        bundle.write((WORK / "known.crt").read_text())


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def speak_tls(authority, behind):
    """The platform's TLS: takes it off before a simulator that speaks plain http on loopback. Returns its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(WORK / f"{authority}-platform.crt", WORK / f"{authority}-platform.key")
    server = socket.create_server(("127.0.0.1", 0))

    def one(plain):
        try:
            outside = context.wrap_socket(plain, server_side=True)
        except (ssl.SSLError, OSError):
            return
        inside = socket.create_connection(("127.0.0.1", behind))
        threading.Thread(target=copy, args=(outside, inside), daemon=True).start()
        copy(inside, outside)

    def serve():
        while True:
            plain, _ = server.accept()
            threading.Thread(target=one, args=(plain,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def collect_traces():
    """An OpenTelemetry collector that keeps what it is sent. Returns its port, and what it got."""
    got = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], got


def start(name, *command, **options):
    log = WORK / f"{name}.log"
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT, **options)
    running.append(process)
    return process, log


def can_be_read(pid):
    """Whether another process of the same user, without a capability, may read what a process holds."""
    return subprocess.run(["cat", f"/proc/{pid}/environ"], capture_output=True, preexec_fn=without_capabilities).returncode == 0


def into_the_image():
    """Between fork and exec: the image's files are all there is."""
    os.chroot(ROOT)
    os.chdir("/")
    without_capabilities()


def without_capabilities():
    """Between fork and exec: gives up what this process may do as the owner of its namespaces."""
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privs, ambient, clear_all = 38, 47, 4
    if libc.prctl(set_no_new_privs, 1, 0, 0, 0) or libc.prctl(ambient, clear_all, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def kubectl(*arguments, objects=None):
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}) if objects else None
    environment = {**os.environ, "KUBECONFIG": str(WORK / "kubeconfig")}
    done = subprocess.run([KUBECTL, *arguments], input=text, text=True, capture_output=True, env=environment)
    if done.returncode:
        fail(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def apply(objects):
    kubectl("apply", "--filename=-", objects=objects)


def conditions(name, *arguments):
    return json.loads(kubectl("get", name, "--output=json", *arguments)).get("status", {}).get("conditions", [])


def example(file, **metadata):
    """An object of examples/, by another name if one is given."""
    read = json.loads(kubectl("create", "--dry-run=client", "--output=json", f"--filename=examples/{file}"))
    return {**read, "metadata": {**read["metadata"], **metadata}}


def organization(name, region):
    read = example("organization.yaml", name=name)
    return {**read, "spec": {**read["spec"], "region": region}}


def main():
    loopback_up()
    asked = answer_names()
    certificates()
    simulator, simulator_log = start(
        "simulator", TARGET / "genesys-cloud-simulator", "--listen", "127.0.0.1:0", "--role-propagation-milliseconds", "0",
        env={**os.environ, "SIMULATOR_OPERATOR_CLIENT_SECRET": ORGANIZATION_SECRET}, preexec_fn=without_capabilities,
    )
    _, kubernetes_log = start("kubernetes", TARGET / "kubernetes-simulator", "--kubeconfig", WORK / "kubeconfig")
    platform = until("the simulator", lambda: re.search(r"http://127\.0\.0\.1:(\d+)", simulator_log.read_text()), simulator_log)
    until("the Kubernetes API", (WORK / "kubeconfig").exists, kubernetes_log)
    trusted, untrusted = (speak_tls(authority, int(platform[1])) for authority in ("known", "unknown"))

    collector, traces = collect_traces()
    otlp = f"https://collector.image.test:{speak_tls('known', collector)}"

    # What a runtime and the kubelet give a pod.
    for device in ("null", "zero", "full", "random", "urandom"):
        place = ROOT / "dev" / device
        place.parent.mkdir(exist_ok=True)
        place.touch()
        mount("--bind", f"/dev/{device}", place)
    (ROOT / "proc").mkdir()
    mount("--rbind", "/proc", ROOT / "proc")
    (ROOT / "etc/resolv.conf").write_text("nameserver 127.0.0.1\nsearch default.svc.cluster.local\noptions ndots:5 timeout:1\n")
    (ROOT / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.0.1 kubernetes.hosts.test\n")
    kubeconfig = (WORK / "kubeconfig").read_text().replace("//127.0.0.1:", "//kubernetes.hosts.test:")
    (ROOT / "kubeconfig").write_text(kubeconfig)
    mount("--rbind", ROOT, ROOT)
    mount("-o", "remount,bind,ro", ROOT)

    kubectl("apply", "--filename=crds")
    credentials = {"clientId": "00000000-0000-4000-8000-00000000c0de", "clientSecret": ORGANIZATION_SECRET}
    namespaces = [{"name": "genesys-oauth-operator"}, {"name": "contact-center", "labels": {"genesys.example.com/team": "contact-center"}}]
    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": namespace} for namespace in namespaces])
    apply([
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "genesys-acme", "namespace": "genesys-oauth-operator"},
         "stringData": {"clientId": "00000000-0000-4000-8000-00000000c0de", "clientSecret": ORGANIZATION_SECRET}},
        organization("acme", "image-1"),
        organization("impostor", "image-2"),
        example("client-credentials.yaml"),
    ])

    def endpoint(region, port):
        return f"--endpoint={region}=https://api.image.test:{port},https://login.image.test:{port}"

    program, log = start(
        "operator", "/genesys-oauth-operator", "run", endpoint("image-1", trusted), endpoint("image-2", untrusted),
        "--role-propagation=0s", "--consistency-window=1s",
        env={"KUBECONFIG": "/kubeconfig", "RUST_LOG": "info", "OTEL_EXPORTER_OTLP_ENDPOINT": otlp}, preexec_fn=into_the_image,
    )

    def ready():
        if program.poll() is not None:
            fail(f"the program ended with {program.returncode}", log)
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions("goc/call-reporting", "--namespace=contact-center"))

    until("the client is Ready", ready, log)
    kubectl("get", "secret/call-reporting", "--namespace=contact-center")
    refused = until("the refusal of a certificate of an unknown authority", lambda: [
        one["message"] for one in conditions("gorg/impostor") if one["type"] == "Ready" and one["status"] != "True" and "certificate" in one["message"]
    ], log)

    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{program.pid}/status").read_text().splitlines() if ":\t" in line)
    seen = (status["Uid"].split()[0], int(status["CapEff"], 16), status["NoNewPrivs"])
    if seen != ("65532", 0, "1"):
        fail(f"the program runs as {seen}, not as user 65532 without a capability")
    readable = [can_be_read(process.pid) for process in (program, simulator)]
    limits = pathlib.Path(f"/proc/{program.pid}/limits").read_text()
    if readable != [False, True] or not re.search(r"Max core file size\s+0\s+0\s", limits):
        fail(f"its memory may be read by its user (it, a simulator: {readable}) or dumped:\n{limits}")
    if "api.image.test" not in asked or "kubernetes.hosts.test" in asked:
        fail(f"names were resolved by something else than /etc/hosts and then DNS, which was asked for {sorted(asked)}")
    program.terminate()
    if program.wait(timeout=LIMIT) != 0:
        fail(f"it ended with {program.returncode} after SIGTERM", log)
    told = b"".join(body for path, body in traces if path == "/v1/traces")
    missing = [span for span in (b"reconcile GenesysOAuthClient", b"CreateClient", b"contact-center/call-reporting") if span not in told]
    if missing or ORGANIZATION_SECRET.encode() in told:
        fail(f"the traces, {len(told)} bytes, lack {missing} or hold a secret", log)
    print("image: the program works in the image's files alone, read-only, as user 65532 without a capability; nobody may dump it;")
    print(f"image: its traces, {len(told)} bytes in {len(traces)} batches, reached a collector behind TLS before its end;")
    print("image: names by /etc/hosts and DNS; certificates of known authorities only:", refused[0])


try:
    main()
finally:
    for process in running:
        process.kill()
