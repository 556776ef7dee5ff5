"""Reads targets of a zone with python-tuf: SITE TARGET..."""
import functools, http.server, json, sys, tempfile, threading
from tuf.ngclient import Updater

site, names = sys.argv[1], sys.argv[2:]
http.server.SimpleHTTPRequestHandler.log_message = lambda *_: None
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/zone"
with open(f"{site}/zone/metadata/1.root.json", "rb") as file:
    root = file.read()
updater = Updater(
    tempfile.mkdtemp(), base + "/metadata/", tempfile.mkdtemp(), base + "/targets/", bootstrap=root
)
updater.refresh()
for name in names:
    info = updater.get_targetinfo(name)
    if info is None:
        print(name, "absent")
        continue
    with open(updater.download_target(info), "rb") as file:
        document = json.load(file)
    manifests = document.get("manifests")
    print(name, manifests[0]["digest"] if manifests else document["signed"]["_type"])
