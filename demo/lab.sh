# Sourced by demo/record and tests/captures/record: the small network, the
# servers in it and the programs that talk. Everything lives in network
# namespaces named $P-*, and goes away at exit.
#
#   client --- acc --- sensor --- wan --- server
#
# acc and wan run demo/link.py, a link with a length: RTT $ACC_RTT ms between
# client and sensor, $WAN_RTT ms between sensor and server. The sensor bridges
# and captures on the port to the client.

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
P=fsdemo
ACC_RTT=4 WAN_RTT=20
C4=192.0.2.10 C6=2001:db8:c::10 PHONE=192.0.2.30 VIEWER=192.0.2.40
WEB=203.0.113.80 WEB6=2001:db8:5::80 DNS=203.0.113.53 DNS6=2001:db8:5::53
SSH=203.0.113.22 SIP=203.0.113.60 CAM=203.0.113.54 ODD=203.0.113.7 ODD6=2001:db8:5::7
CMAC=02:00:5e:00:00:0c SMAC=02:00:5e:00:00:05
PY=/usr/bin/python3
export LC_ALL=C TZ=UTC

say() { printf '%s\n' "$*" >&2; }

need() {
  local missing=() pair
  for pair in ip:iproute2 ethtool:ethtool tcpdump:tcpdump tshark:tshark curl:curl \
      nginx:nginx-light chromium:chromium dig:dnsutils unbound:unbound sshd:openssh-server \
      ssh:openssh-client sipp:sip-tester ffmpeg:ffmpeg nmap:nmap ping:iputils-ping \
      traceroute:traceroute iptables:iptables openssl:openssl python3:python3 gzip:gzip; do
    command -v "${pair%%:*}" >/dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing+=("${pair##*:}")
  done
  "$PY" -c 'import cryptography' 2>/dev/null || missing+=(python3-cryptography)
  "$PY" -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null ||
    missing+=(python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base \
      gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly)
  [ -x /usr/lib/usrsctp/client ] || missing+=(libusrsctp-examples)
  if [ ${#missing[@]} -gt 0 ]; then
    say "missing Debian packages: ${missing[*]}"
    exit 2
  fi
  [ "$(id -u)" = 0 ] || { say "must be run by root (network namespaces)"; exit 2; }
  [ -c /dev/net/tun ] || { say "/dev/net/tun is missing"; exit 2; }
}

in_ns() { local n=$1; shift; ip netns exec "$P-$n" "$@"; }
c() { in_ns client "$@"; }
s() { in_ns server "$@"; }

# Background programs: bg NAME NAMESPACE COMMAND...; their ids are in $PIDS.
declare -A PIDS=()
bg() {
  local n=$1 ns=$2; shift 2
  ip netns exec "$P-$ns" "$@" >"$T/$n.log" 2>&1 &
  PIDS[$n]=$!
}
stop() {
  local n
  for n in "$@"; do
    [ -n "${PIDS[$n]:-}" ] || continue
    kill "${PIDS[$n]}" 2>/dev/null || true
    wait "${PIDS[$n]}" 2>/dev/null || true
    unset "PIDS[$n]"
  done
}

clean_net() {
  local n p
  for n in client acc sensor wan server; do
    if [ -e "/run/netns/$P-$n" ]; then
      for p in $(ip netns pids "$P-$n" 2>/dev/null); do kill -9 "$p" 2>/dev/null || true; done
      ip netns del "$P-$n" 2>/dev/null || true
    fi
  done
  rm -rf "/etc/netns/$P-client"
  rmdir /etc/netns 2>/dev/null || true
}
cleanup() {
  local rc=$?
  trap - EXIT
  set +e
  stop "${!PIDS[@]}" 2>/dev/null
  clean_net
  [ -z "${MADE_RUN_SSHD:-}" ] || rmdir /run/sshd 2>/dev/null
  [ -n "${KEEP_TMP:-}" ] && say "left: $T" || rm -rf "$T"
  exit "$rc"
}

quiet_nic() { # ns dev: what is captured must look like the wire
  in_ns "$1" ethtool -K "$2" tso off gso off gro off tx off rx off sg off >/dev/null 2>&1 || true
}

wire() { # nsA devA nsB devB
  ip link add "$2" netns "$P-$1" type veth peer name "$4" netns "$P-$3"
  quiet_nic "$1" "$2"
  quiet_nic "$3" "$4"
}

link_up() { # acc|wan [link.py arguments]: (re)start one of the two links
  local n=$1 rtt dev=(); shift
  stop "link-$n"
  if [ "$n" = acc ]; then rtt=$ACC_RTT dev=(ac as); else rtt=$WAN_RTT dev=(ws wv); fi
  bg "link-$n" "$n" "$PY" "$LAB/link.py" "${dev[@]}" --delay "$((rtt / 2))" "$@"
  sleep 0.4
}

net_up() {
  local n a
  clean_net
  for n in client acc sensor wan server; do
    ip netns add "$P-$n"
    in_ns "$n" ip link set lo up
  done
  for n in acc sensor wan; do
    in_ns "$n" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  done
  for n in client server; do
    in_ns "$n" sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.router_solicitations=0 \
      net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1 \
      net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0 net.ipv4.tcp_no_metrics_save=1 \
      net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
      net.ipv4.conf.all.accept_source_route=1 net.ipv4.icmp_ratemask=0 net.ipv6.icmp.ratelimit=0 || true
  done
  wire client c0 acc ac
  wire acc as sensor sc
  wire sensor ss wan ws
  wire wan wv server s0
  in_ns acc ip link set ac up; in_ns acc ip link set as up
  in_ns wan ip link set ws up; in_ns wan ip link set wv up
  in_ns sensor ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
  for n in sc ss; do in_ns sensor ip link set "$n" master br0 up; done
  in_ns sensor ip link set br0 up
  c ip link set c0 address $CMAC up
  s ip link set s0 address $SMAC up
  for a in $C4/24 $PHONE/24 $VIEWER/24; do c ip addr add "$a" dev c0; done
  c ip -6 addr add $C6/64 dev c0 nodad
  for a in $WEB $DNS $SSH $SIP $CAM $ODD; do s ip addr add "$a/24" dev s0; done
  for a in $WEB6 $DNS6 $ODD6; do s ip -6 addr add "$a/64" dev s0 nodad; done
  c ip route add 203.0.113.0/24 dev c0 src $C4
  c ip -6 route add 2001:db8:5::/64 dev c0 src $C6
  s ip route add 192.0.2.0/24 dev s0 src $WEB
  s ip -6 route add 2001:db8:c::/64 dev s0
  # the camera's RTP leaves from the camera's address, to the viewer's
  c ip route add $CAM/32 dev c0 src $VIEWER
  s ip route add $VIEWER/32 dev s0 src $CAM
  # The server routes too: to a network that does not answer (host
  # unreachable), and to a link of MTU 1280 (packet too big).
  s sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  s ip route add unreachable 198.51.100.0/25
  s ip tuntap add dev small mode tun
  s ip link set small mtu 1280 up
  s ip addr add 198.51.100.129/25 dev small
  s ip -6 addr add 2001:db8:7::1/64 dev small nodad
  c ip route add 198.51.100.0/24 via $ODD dev c0 onlink src $C4
  c ip -6 route add 2001:db8:7::/64 via $ODD6 dev c0 onlink src $C6
  mkdir -p "/etc/netns/$P-client"
  printf 'nameserver %s\n' $DNS >"/etc/netns/$P-client/resolv.conf"
  link_up acc
  link_up wan
  c ping -q -c1 -W2 $WEB >/dev/null
  c ping -q -c1 -W2 $WEB6 >/dev/null
}

servers_up() {
  mkdir -p "$T/www" "$T/nginx"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
    -subj /CN=www.example.test -addext 'subjectAltName=DNS:www.example.test,DNS:old.example.test' \
    -keyout "$T/web.key" -out "$T/web.crt" 2>/dev/null
  "$PY" - "$T/www" <<'PYEND'
import sys
w = sys.argv[1]
for name, size in (("1k.txt", 1000), ("20k.txt", 20000), ("100k.txt", 100000), ("300k.txt", 300000)):
    body = b"".join(b"%06d the quick brown fox\n" % i for i in range(size // 27 + 1))[:size]
    open(f"{w}/{name}", "wb").write(body)
open(f"{w}/style.css", "w").write("".join(f".c{i}{{color:#{i:06x}}}\n" for i in range(400)))
open(f"{w}/app.js", "w").write("fetch('/api/think/150').then(r=>r.text()).then(t=>document.title=t);\n" + "// padding\n" * 600)
open(f"{w}/index.html", "w").write("<!doctype html><title>wait</title><link rel=stylesheet href=style.css>"
    "<h1>demo</h1>" + "".join(f"<img src=p{i}.png width=80>" for i in range(6)) + "<script src=app.js></script>")
PYEND
  local i
  for i in 0 1 2 3 4 5; do
    ffmpeg -nostdin -loglevel error -y -f lavfi -i "mandelbrot=size=$((60 + 20 * i))x90" -frames:v 1 "$T/www/p$i.png"
  done
  cat >"$T/nginx/nginx.conf" <<END
user root; worker_processes 1; daemon off; pid $T/nginx/pid; error_log $T/nginx/error.log;
events { worker_connections 200; }
http {
  access_log off; server_tokens off; keepalive_timeout 20;
  types { text/html html; text/css css; application/javascript js; image/png png; text/plain txt; }
  client_body_temp_path $T/nginx/b; proxy_temp_path $T/nginx/p; fastcgi_temp_path $T/nginx/f;
  uwsgi_temp_path $T/nginx/u; scgi_temp_path $T/nginx/s;
  ssl_certificate $T/web.crt; ssl_certificate_key $T/web.key;
  server {
    listen $WEB:80; listen [$WEB6]:80; listen $WEB:443 ssl http2; listen [$WEB6]:443 ssl http2;
    server_name www.example.test; ssl_protocols TLSv1.2 TLSv1.3; root $T/www;
    location /api/ { proxy_pass http://127.0.0.1:9000/; proxy_http_version 1.1; }
  }
  server { listen $WEB:8443 ssl; server_name old.example.test; ssl_protocols TLSv1.2; root $T/www; }
}
END
  bg backend server "$PY" "$LAB/backend.py" 127.0.0.1 9000
  bg nginx server nginx -e "$T/nginx/error.log" -p "$T/nginx" -c "$T/nginx/nginx.conf"
  cat >"$T/unbound.conf" <<END
server:
  interface: $DNS
  interface: $DNS6
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  username: "" 
  chroot: ""
  directory: "$T"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  module-config: "iterator"
  hide-identity: yes
  hide-version: yes
  minimal-responses: no
  local-zone: "." refuse
  local-zone: "blocked.test." refuse
  local-zone: "example.test." static
  local-data: "example.test. 3600 IN SOA ns.example.test. root.example.test. 1 3600 900 604800 300"
  local-data: "example.test. 3600 IN NS ns.example.test."
  local-data: "ns.example.test. 3600 IN A $DNS"
  local-data: "www.example.test. 300 IN A $WEB"
  local-data: "www.example.test. 300 IN AAAA $WEB6"
  local-data: "old.example.test. 300 IN A $WEB"
  local-data: "example.test. 300 IN MX 10 mail.example.test."
  local-data: "mail.example.test. 300 IN A 203.0.113.25"
  local-data: "alias.example.test. 300 IN CNAME www.example.test."
  local-data: "_sip._udp.example.test. 300 IN SRV 0 5 5060 sip.example.test."
  local-data: "sip.example.test. 300 IN A $SIP"
  local-data-ptr: "$WEB 300 www.example.test"
END
  for i in $(seq 1 30); do
    printf '  local-data: "big.example.test. 300 IN TXT record-%03d-%s"\n' "$i" "$(printf 'x%.0s' $(seq 1 80))"
  done >>"$T/unbound.conf"
  echo 'remote-control:
  control-enable: no' >>"$T/unbound.conf"
  bg unbound server unbound -d -p -c "$T/unbound.conf"
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$T/hostkey"
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$T/userkey"
  cp "$T/userkey.pub" "$T/authorized"
  cat >"$T/sshd.conf" <<END
ListenAddress $SSH:22
HostKey $T/hostkey
AuthorizedKeysFile $T/authorized
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
PidFile none
VersionAddendum none
Subsystem sftp internal-sftp
END
  [ -d /run/sshd ] || { mkdir -m 755 /run/sshd; MADE_RUN_SSHD=1; }
  bg sshd server /usr/sbin/sshd -D -e -f "$T/sshd.conf"
  bg camera server "$PY" "$LAB/camera.py" $CAM 554
  bg odd server "$PY" "$LAB/odd.py" serve $ODD
  bg odd6 server "$PY" "$LAB/odd.py" serve $ODD6
  # A port behind a silent firewall, and one behind a talking one.
  s iptables -A INPUT -p tcp --dport 7998 -j DROP
  s iptables -A INPUT -p udp --dport 7997 -j REJECT --reject-with icmp-admin-prohibited
  ffmpeg -nostdin -loglevel error -y -f lavfi -i "sine=frequency=440:sample_rate=8000:duration=${VOICE:=6}" -f alaw "$T/voice.al"
  for i in uac uas; do sed "s#VOICE#$T/voice.al#; s#TALK#${VOICE}000#" "$LAB/sip/$i.xml" >"$T/$i.xml"; done
  sleep 2
}

# --- captures ---------------------------------------------------------------
cap() { # NAME NS DEV [tcpdump arguments...]
  local n=$1 ns=$2 dev=$3; shift 3
  : >"$T/cap-$n.log"
  ip netns exec "$P-$ns" tcpdump -Z root -i "$dev" -s 0 -B 16384 --immediate-mode -U -w "$T/$n.pcap" "$@" 2>"$T/cap-$n.log" &
  PIDS[cap-$n]=$!
  local i
  for i in $(seq 50); do grep -q 'listening on' "$T/cap-$n.log" && return 0; sleep 0.1; done
  cat "$T/cap-$n.log" >&2
  return 1
}
cap_stop() { # NAME
  sleep 0.5
  kill -INT "${PIDS[cap-$1]}" 2>/dev/null || true
  wait "${PIDS[cap-$1]}" 2>/dev/null || true
  unset "PIDS[cap-$1]"
  grep -q '^0 packets dropped by kernel' "$T/cap-$1.log" || say "$1: $(grep 'dropped by' "$T/cap-$1.log")"
}

# --- programs ---------------------------------------------------------------
CURL=(curl -sS -o /dev/null --max-time 20 --resolve "www.example.test:80:$WEB" --resolve "www.example.test:443:$WEB"
  --resolve "old.example.test:8443:$WEB")
H=http://www.example.test HS=https://www.example.test

do_http() {
  # one connection, three requests; then single ones
  c "${CURL[@]}" $H/1k.txt --next "${CURL[@]:1}" $H/20k.txt --next "${CURL[@]:1}" $H/missing
  c "${CURL[@]}" $H/100k.txt
  head -c 30000 "$T/www/100k.txt" >"$T/form"
  c "${CURL[@]}" --data-binary "@$T/form" -H 'Content-Type: text/plain' $H/api/echo
  c "${CURL[@]}" $H/api/think/150
  c "${CURL[@]}" -6 --resolve "www.example.test:80:[$WEB6]" $H/20k.txt
}
do_http_latency() {
  c "${CURL[@]}" $H/api/think/150 --next "${CURL[@]:1}" $H/api/think/300 --next "${CURL[@]:1}" $H/1k.txt
  c "${CURL[@]}" $H/api/think/150
  c "${CURL[@]}" --data-binary "@$T/www/20k.txt" -H 'Content-Type: text/plain' $H/api/echo
}
do_tls() {
  c "${CURL[@]}" -k $HS/20k.txt
  c "${CURL[@]}" -k --http1.1 --tls-max 1.2 $HS/20k.txt
  c "${CURL[@]}" -k https://old.example.test:8443/1k.txt
  c "${CURL[@]}" $HS/1k.txt 2>/dev/null || true            # alert: unknown CA
  c "${CURL[@]}" -k --tlsv1.3 https://old.example.test:8443/1k.txt 2>/dev/null || true # alert: protocol version
}
do_tls_more() {
  c "${CURL[@]}" -k $HS/100k.txt --next "${CURL[@]:1}" -k $HS/api/think/150
  c "${CURL[@]}" -k --http1.1 --data-binary "@$T/www/20k.txt" -H 'Content-Type: text/plain' $HS/api/echo
  c "${CURL[@]}" -k -6 --resolve "www.example.test:443:[$WEB6]" $HS/20k.txt
}
do_browser() {
  mkdir -p "$T/profile"
  # The namespace keeps the browser in: whatever else it asks for, nobody answers.
  c env HOME="$T" timeout -k 2 30 chromium --headless --no-sandbox --disable-gpu --disable-quic \
    --ignore-certificate-errors --disable-background-networking --disable-component-update --disable-sync \
    --no-first-run --no-default-browser-check --disable-default-apps --disable-extensions --disable-dev-shm-usage \
    --user-data-dir="$T/profile" --virtual-time-budget=4000 --dump-dom $HS/index.html >"$T/dom.html" 2>"$T/chromium.log" || true
}
do_dns() {
  local d=(dig +tries=1 +time=2)
  c "${d[@]}" @$DNS www.example.test A
  c "${d[@]}" @$DNS www.example.test AAAA
  c "${d[@]}" @$DNS example.test MX
  c "${d[@]}" @$DNS nothere.example.test A
  c "${d[@]}" @$DNS alias.example.test A
  c "${d[@]}" @$DNS _sip._udp.example.test SRV
  c "${d[@]}" @$DNS -x $WEB
  c "${d[@]}" @$DNS www.blocked.test A
  c "${d[@]}" @$DNS +tcp example.test SOA
  c "${d[@]}" @$DNS big.example.test TXT   # truncated over UDP, asked again over TCP
  c "${d[@]}" @$DNS6 www.example.test AAAA
  c "${d[@]}" @$DNS6 +tcp example.test MX
} >/dev/null
SSHO=(-F none -i "" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes -o BatchMode=yes)
do_ssh() {
  SSHO[3]=$T/userkey
  c ssh "${SSHO[@]}" root@$SSH 'echo hello; sleep 0.2; seq 1 500' >/dev/null
  head -c "${1:-200000}" /dev/urandom >"$T/blob"
  c scp -q "${SSHO[@]}" "$T/blob" root@$SSH:"$T/blob.copy"
  cmp "$T/blob" "$T/blob.copy"
}
do_sip() { # one call of 6 s (or as long as the file voice.al, $VOICE s), A-law both ways; the caller rings off
  local opt=(-m 1 -nostdin -p 5060 -timeout 20s)
  ( cd "$T" && exec ip netns exec $P-server sipp -sf uas.xml -i $SIP -mi $SIP "${opt[@]}" >sipp-uas.log 2>&1 ) & PIDS[uas]=$!
  sleep 1
  ( cd "$T" && exec ip netns exec $P-client sipp -sf uac.xml -i $PHONE -mi $PHONE "${opt[@]}" $SIP:5060 >sipp-uac.log 2>&1 ) ||
    say "sipp: $(head -3 "$T/sipp-uac.log")"
  wait "${PIDS[uas]}" || say "sipp uas: $(head -3 "$T/sipp-uas.log")"
  unset 'PIDS[uas]'
}
do_rtsp() { # udp|tcp seconds
  c timeout 20 ffmpeg -nostdin -loglevel error -rtsp_transport "$1" -i rtsp://$CAM:554/cam -t "$2" -c copy -f null - 2>"$T/rtsp-$1.log" ||
    say "rtsp $1: $(tail -1 "$T/rtsp-$1.log")"
}
odd() { c timeout 60 "$PY" "$LAB/odd.py" "$@" >/dev/null; }
do_scan() { # ports
  c nmap -n -Pn -sS -p "1-$1" --max-rate 2000 --max-retries 1 $ODD >"$T/nmap.log"
}
do_udpscan() { c nmap -n -Pn -sU -p 53,67,69,123,161,500,1900,5353 --max-rate 50 --max-retries 0 $DNS >"$T/nmapu.log"; }
do_fragments() {
  c ping -q -c3 -i 0.3 -s 4000 $WEB >/dev/null
  c ping -q -c3 -i 0.3 -s 4000 $WEB6 >/dev/null
}
do_icmp() {
  c ping -q -c3 -i 0.3 $WEB >/dev/null
  c ping -q -c3 -i 0.3 $WEB6 >/dev/null
  c "$PY" -c 'import socket,sys,time
for a,p in (("203.0.113.7",7996),("2001:db8:5::7",7996),("203.0.113.7",7997)):
    s=socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET,socket.SOCK_DGRAM)
    s.sendto(b"anybody?",(a,p)); time.sleep(.2)'
  c ping -q -c1 -W1 198.51.100.7 >/dev/null || true               # host unreachable
  c ping -q -c1 -W1 -t1 198.51.100.200 >/dev/null || true         # time exceeded
  c ping -q -c1 -W1 -M do -s 1400 198.51.100.200 >/dev/null || true # fragmentation needed
  c ping -q -c1 -W1 -t1 2001:db8:7::2 >/dev/null || true          # time exceeded, IPv6
  c ping -q -c1 -W1 -M do -s 1400 2001:db8:7::2 >/dev/null || true # packet too big
  c ping -q -c1 -W1 2001:db8:5::99 >/dev/null || true             # neighbour does not answer
  sleep 2.2
}
# tunnel_up MODE NAME CLIENT-ARGS -- SERVER-ARGS. Inside, with $I the number of
# the tunnel: 10.9.$I.1 and 10.9.$I.2, fd00:9:$I::1 and ::2.
I=0
tunnel_up() {
  local mode=$1 name=$2 left=() right=() at=left a; shift 2
  for a in "$@"; do
    if [ "$a" = -- ]; then at=right; continue; fi
    if [ $at = left ]; then left+=("$a"); else right+=("$a"); fi
  done
  bg "tun-s" server "$PY" "$LAB/tunnel.py" "$mode" "$name" --addr 10.9.$I.2/24 --addr fd00:9:$I::2/64 "${right[@]}"
  sleep 0.5
  bg "tun-c" client "$PY" "$LAB/tunnel.py" "$mode" "$name" --addr 10.9.$I.1/24 --addr fd00:9:$I::1/64 "${left[@]}"
  sleep 0.7
  bg tun-app server "$PY" "$LAB/backend.py" 10.9.$I.2 8080
  sleep 0.7
}
tunnel_talk() { # the same talk through every tunnel: ping, ping6, two HTTP requests
  c ping -q -c2 -i 0.2 -W2 10.9.$I.2 >/dev/null
  c ping -q -c2 -i 0.2 -W2 fd00:9:$I::2 >/dev/null
  c curl -sS -o /dev/null --max-time 10 http://10.9.$I.2:8080/think/50 --next -sS -o /dev/null --max-time 10 \
    --data-binary "@$T/www/1k.txt" -H 'Content-Type: text/plain' http://10.9.$I.2:8080/echo
  sleep 0.3
}
tunnel_down() { stop tun-c; sleep 0.3; stop tun-app tun-s; }
through() { # MODE: the tunnel with the arguments of this lab, the talk, down again
  local mode=$1
  I=$((I + 1))
  case $mode in
    vlan) tunnel_up vlan t0 --dev c0 --id 10 --mac 02:00:5e:00:01:0c -- --dev s0 --id 10 --mac 02:00:5e:00:01:05 ;;
    qinq) tunnel_up qinq t0 --dev c0 --id 100 --id 10 --mac 02:00:5e:00:02:0c -- --dev s0 --id 100 --id 10 --mac 02:00:5e:00:02:05 ;;
    gre) tunnel_up gre t0 --local $C4 --peer $ODD -- --local $ODD --peer $C4 ;;
    grekey) tunnel_up gre t0 --key 42 --local $C4 --peer $ODD -- --key 42 --local $ODD --peer $C4 ;;
    gre6) tunnel_up gre t0 --local $C6 --peer $ODD6 -- --local $ODD6 --peer $C6 ;;
    teb) tunnel_up teb t0 --local $C4 --peer $ODD --mac 02:00:5e:00:03:0c -- --local $ODD --peer $C4 --mac 02:00:5e:00:03:05 ;;
    ipip) tunnel_up ipip t0 --local $C4 --peer $ODD -- --local $ODD --peer $C4 ;;
    esp) tunnel_up esp t0 --local $C4 --peer $ODD -- --local $ODD --peer $C4 ;;
    mpls) tunnel_up mpls t0 --dev c0 --peer-mac $SMAC --id 1000 --id 2000 -- --dev s0 --peer-mac $CMAC --id 1000 --id 2000 ;;
    pppoe) tunnel_up pppoe t0 --dev c0 -- --dev s0 --server ;;
    tun) tunnel_up tun t0 --local $C4 --peer $ODD -- --local $ODD --peer $C4 ;;
  esac
  if [ -n "${TUN_CAP:-}" ]; then cap "$TUN_CAP" client t0; fi
  tunnel_talk
  if [ -n "${TUN_CAP:-}" ]; then cap_stop "$TUN_CAP"; fi
  tunnel_down
}
vxlan_talk() { # the kernel's own VXLAN
  I=$((I + 1))
  c ip link add t0 type vxlan id 77 local $C4 remote $ODD dstport 4789 dev c0 ttl 64
  s ip link add t0 type vxlan id 77 local $ODD remote $C4 dstport 4789 dev s0 ttl 64
  local n a
  for n in client server; do
    [ $n = client ] && a=1 || a=2
    quiet_nic $n t0
    in_ns $n ip link set t0 mtu 1400 address "02:00:5e:00:04:0$a" up
    in_ns $n ip addr add 10.9.$I.$a/24 dev t0
    in_ns $n ip -6 addr add fd00:9:$I::$a/64 dev t0 nodad
  done
  bg tun-app server "$PY" "$LAB/backend.py" 10.9.$I.2 8080
  sleep 0.7
  tunnel_talk
  stop tun-app
  c ip link del t0
  s ip link del t0
}
do_sctp() { # usrsctp: SCTP in user space over raw sockets
  # One address at each end: 20 messages of 300 bytes to the server.
  bg sctp-s server timeout 20 /usr/lib/usrsctp/tsctp -E 0 -U 0 -L $ODD
  sleep 0.7
  c timeout 10 /usr/lib/usrsctp/tsctp -E 0 -U 0 -L $C4 -n 20 -l 300 $ODD >"$T/tsctp-c.log" 2>&1 || true
  sleep 0.3
  stop sctp-s
  # All addresses at each end (multi-homing): 5 lines there and back.
  bg sctp-s server timeout 20 /usr/lib/usrsctp/echo_server
  sleep 0.7
  ( for i in 1 2 3 4 5; do echo "line $i"; sleep 0.2; done; sleep 0.5 ) |
    c timeout 10 /usr/lib/usrsctp/client $ODD 7 0 0 0 >"$T/sctp-c.log" 2>&1 || true
  sleep 0.5
  stop sctp-s
}
