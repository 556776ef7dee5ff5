#!/usr/bin/env bash
# Two domains in a network of their own: web servers with TLS, a DNS that is signed
# down from its root, an authority of their own; other people's clients beside ours.
# Prints a line for each thing that is as it should be.
set -euo pipefail
cd "$LAB"
owner=1.2.3.4 team=1.2.3.5
ip link set lo up
ip addr add $owner/32 dev lo
ip addr add $team/32 dev lo
echo "nameserver 127.0.0.1" >resolv.conf
mount --bind resolv.conf /etc/resolv.conf
echo "127.0.0.1 localhost" >hosts
mount --bind hosts /etc/hosts
unset XDG_RUNTIME_DIR
export SSL_CERT_FILE=$LAB/ca.pem PLIMSOLL_PASSPHRASE=lab COSIGN_PASSWORD=
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT

openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -subj /CN=lab -days 2 -out ca.pem \
  -addext keyUsage=critical,keyCertSign 2>/dev/null
certificate() { # FILE HOSTS
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr" 2>/dev/null
  echo "subjectAltName=$2" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
certificate owner DNS:example.com,DNS:oci.example.com
certificate team DNS:images.team.example

# Zones of the DNS: the root and example.com are signed, team.example is not.
head='SOA ns. host. 1 3600 600 86400 60'
zones() { # TEXT of the record, if there is one
  {
    printf '$ORIGIN .\n$TTL 60\n@ %s\n@ NS ns.\nns. A 127.0.0.1\n' "$head"
    printf 'example.com. NS ns.\nteam.example. NS ns.\n'
    cat Kexample.com.*.ds
  } >root.zone
  {
    printf '$ORIGIN example.com.\n$TTL 60\n@ %s\n@ NS ns.\n@ A %s\noci A %s\n' "$head" $owner $owner
    if [ -n "$1" ]; then printf '_image-names TXT "%s"\n' "$1"; fi
  } >example.zone
  printf '$ORIGIN team.example.\n$TTL 60\n@ %s\n@ NS ns.\nimages A %s\n' "$head" $team >team.zone
  ldns-signzone -n root.zone "$(basename "$(echo K.+*.key)" .key)"
  ldns-signzone example.zone "$(basename "$(echo Kexample.com.+*.key)" .key)"
}
ldns-keygen -k -a ECDSAP256SHA256 . >/dev/null
ldns-keygen -k -a ECDSAP256SHA256 example.com >/dev/null
for key in K.+*.key Kexample.com.+*.key; do ldns-key2ds -n -2 "$key" >"${key%.key}.ds"; done
cat >nsd.conf <<END
server:
  ip-address: 127.0.0.1
  username: ""
  chroot: ""
  zonesdir: "$LAB"
  database: ""
  pidfile: "$LAB/nsd.pid"
  xfrdfile: "$LAB/xfrd.state"
  zonelistfile: "$LAB/zone.list"
  logfile: "$LAB/nsd.log"
remote-control:
  control-enable: no
zone: {name: "." zonefile: root.zone.signed}
zone: {name: "example.com" zonefile: example.zone.signed}
zone: {name: "team.example" zonefile: team.zone}
END
sed -i 's/^zone: {name: \(.*\) zonefile: \(.*\)}/zone:\n  name: \1\n  zonefile: \2/' nsd.conf
nsd=
dns() {
  if [ -n "$nsd" ]; then kill "$nsd"; wait "$nsd" 2>/dev/null || true; fi
  zones "$1"
  nsd -d -c nsd.conf &
  nsd=$!
  pids+=("$nsd")
  for _ in $(seq 50); do drill -Q @127.0.0.1 example.com A >/dev/null 2>&1 && return; sleep 0.1; done
  cat nsd.log; exit 1
}
anchor=$(sed 's/.*DS[[:space:]]*//' K.+*.ds)
mkdir -p config/plimsoll
export XDG_CONFIG_HOME=$LAB/config
printf '[dns]\nanchors = ["%s"]\n' "$anchor" >config/plimsoll/names.toml

web=
serve() { # CONFIGURATION
  if [ -n "$web" ]; then kill "$web"; wait "$web" 2>/dev/null || true; fi
  nginx -p "$LAB" -e "$LAB/nginx.err" -c "$1" -g "daemon off; pid $LAB/nginx.pid;" &
  web=$!
  pids+=("$web")
  for _ in $(seq 50); do (: >/dev/tcp/$owner/443) 2>/dev/null && return; sleep 0.1; done
  cat nginx.err; exit 1
}
fresh() { rm -rf "$LAB/state"; }
export XDG_STATE_HOME=$LAB/state

# What is not ours: the nginx example of oci-discovery, at example.com.
if [ -n "${DISCOVERY:-}" ]; then
  dns ""
  sed -e "s,/etc/ssl/example.com/example.crt,$LAB/owner.pem," \
    -e "s,/etc/ssl/example.com/example.key,$LAB/owner.key," \
    -e "s,/srv/example.com,$DISCOVERY/contrib/nginx/example.com," -e '/listen  *\[::\]/d' \
    "$DISCOVERY/contrib/nginx/nginx.conf" >theirs.conf
  sed -i "s,^http {,http {\n access_log off; client_body_temp_path $LAB/t1; proxy_temp_path $LAB/t2; fastcgi_temp_path $LAB/t3; scgi_temp_path $LAB/t4; uwsgi_temp_path $LAB/t5;," theirs.conf
  serve "$LAB/theirs.conf"
  echo "theirs $("$PLIMSOLL" -q resolve 'example.com/app#1.0' --platform linux/ppc64le)"
  "$PLIMSOLL" resolve 'example.com/app#1.0' | grep -q 'assurance *tls' && echo "theirs by tls"
  fresh
fi

# The owner and the team publish.
"$PLIMSOLL" key new release -q >/dev/null
"$PLIMSOLL" name init example.com --url https://oci.example.com/ --zone owner -q >/dev/null
"$PLIMSOLL" name init example.com/team --url https://images.team.example/ --zone team -q >/dev/null
"$PLIMSOLL" -q sign "$IMAGE" --key release --as example.com/org/app:v1.0.0 >/dev/null
"$PLIMSOLL" -q name add example.com/org/app:v1.0.0 "$IMAGE" --zone owner >/dev/null
"$PLIMSOLL" -q name add example.com/team/app:v2 "$IMAGE" --zone team >/dev/null
"$PLIMSOLL" name signers example.com --key release --zone owner -q >/dev/null
"$PLIMSOLL" -q name publish --zone team >/dev/null
"$PLIMSOLL" -q name delegate example.com/team --root team/site/zone/metadata/1.root.json \
  --url https://images.team.example/ --zone owner >/dev/null
text=$("$PLIMSOLL" name publish --zone owner | sed -n 's/.*TXT "\(.*\)"$/\1/p')
dns "$text"
cat >ours.conf <<END
user root;
events { }
http {
  access_log $LAB/access.log;
  client_body_temp_path $LAB/t1; proxy_temp_path $LAB/t2; fastcgi_temp_path $LAB/t3;
  scgi_temp_path $LAB/t4; uwsgi_temp_path $LAB/t5;
  map_hash_bucket_size 512;
  map_hash_max_size 65536;
  map \$uri \$manifest_type { include $LAB/owner/site/v2/types.conf; include $LAB/team/site/v2/types.conf; }
  server {
    listen $owner:443 ssl;
    server_name example.com oci.example.com;
    ssl_certificate $LAB/owner.pem; ssl_certificate_key $LAB/owner.key;
    root $LAB/owner/site;
    location ^~ /v2/team/ { return 307 https://images.team.example\$request_uri; }
    include $LAB/locations.conf;
  }
  server {
    listen $team:443 ssl;
    server_name images.team.example;
    ssl_certificate $LAB/team.pem; ssl_certificate_key $LAB/team.key;
    root $LAB/team/site;
    include $LAB/locations.conf;
  }
}
END
serve "$LAB/ours.conf"

digest=$("$PLIMSOLL" -q inspect "$IMAGE")
for name in example.com/org/app:v1.0.0 "example.com/org/app@$digest" \
  "example.com/org/app:v1.0.0@$digest" example.com/org/app,version=v1.0.0 \
  'EXAMPLE.com./org/app#v1.0.0' example.com/team/app:v2; do
  [ "$("$PLIMSOLL" -q resolve "$name")" = "$digest" ] || { echo "resolved wrongly: $name"; exit 1; }
done
"$PLIMSOLL" resolve example.com/team/app:v2 | grep -q 'assurance *zone-anchored' && echo "ours by DNSSEC"
"$PLIMSOLL" -q unpack example.com/org/app:v1.0.0 rootfs --trust-key ns:example.com/ >/dev/null
echo "ours unpacked and verified"

if [ -n "${DISCOVERY:-}" ]; then
  # Their own stub of templates, and the real thing where it is installed.
  for python in python3 ${PYTHON:-}; do
    PYTHONPATH=$DISCOVERY "$python" -m oci_discovery.ref_engine_discovery --protocol https \
      'example.com/org/app#v1.0.0' >found.json
    grep -q "\"digest\": \"$digest\"" found.json && echo "oci-discovery $(basename "$python")"
  done
fi
if [ -n "${SKOPEO:-}" ]; then
  for name in example.com/org/app:v1.0.0 example.com/team/app:v2; do
    "$SKOPEO" --insecure-policy copy -q --all --preserve-digests "docker://$name" "oci:$LAB/by-skopeo:${name##*:}"
    found=$("$PLIMSOLL" -q inspect "oci:$LAB/by-skopeo:${name##*:}")
    if [ "$found" = "$digest" ]; then echo "skopeo $name"; else echo "skopeo $name: $found"; fi
  done
fi
if [ -n "${CRANE:-}" ]; then
  [ "$("$CRANE" digest example.com/org/app:v1.0.0)" = "$digest" ] && echo "crane example.com/org/app:v1.0.0"
fi
if [ -n "${COSIGN:-}" ]; then
  "$PLIMSOLL" key export release >release.pub
  "$COSIGN" verify --key release.pub --insecure-ignore-tlog example.com/org/app:v1.0.0 >cosign.out 2>&1 &&
    echo "cosign example.com/org/app:v1.0.0" || cat cosign.out
fi

# A record that is changed after it was signed is none that counts.
sed -i 's/v=imn1; zone/v=imn1; id=evil; zone/' example.zone.signed
kill "$nsd"; wait "$nsd" 2>/dev/null || true
nsd -d -c nsd.conf & nsd=$!; pids+=("$nsd")
for _ in $(seq 50); do drill -Q @127.0.0.1 example.com A >/dev/null 2>&1 && break; sleep 0.1; done
fresh
if "$PLIMSOLL" resolve example.com/org/app:v1.0.0 >bogus.out 2>&1; then echo "believed a false record"; exit 1; fi
grep -q E_DISCOVERY bogus.out && echo "a false record is refused" || { cat bogus.out; exit 1; }
