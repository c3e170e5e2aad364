/* The least a collector can do: see README.md beside it.
 *
 *     bound PORT ENDPOINT t|j
 *
 * Data that is not of the layout gives nonsense, or worse: this is for loopback and the load generator only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <zmq.h>

enum { BATCH = 64, DATAGRAM = 2048, FLOWS = 64, RECORD = 56, LONGEST = 512, BUFFER = 4 << 20 };

static volatile sig_atomic_t ended;
static void end(int number) { (void)number; ended = 1; }

static uint16_t be16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
static uint32_t be32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }

/* "0" to "255": text and length. */
static struct { char text[3]; uint8_t length; } octets[256];
static char pairs[200];

static uint8_t *decimal(uint8_t *out, uint32_t v) {
    uint8_t digits[10], *at = digits + 10;
    while (v >= 100) { at -= 2; memcpy(at, pairs + v % 100 * 2, 2); v /= 100; }
    if (v >= 10) { at -= 2; memcpy(at, pairs + v * 2, 2); } else *--at = (uint8_t)('0' + v);
    size_t length = (size_t)(digits + 10 - at);
    memcpy(out, at, length);
    return out + length;
}

static uint8_t *dotted(uint8_t *out, const uint8_t *p) {
    for (int i = 0; i < 4; i++) {
        memcpy(out, octets[p[i]].text, 3);
        out += octets[p[i]].length;
        *out++ = '.';
    }
    return out - 1;
}

/* One item: key of one byte, value in the least bytes that hold it. */
static uint8_t *number_t(uint8_t *out, uint8_t key, uint32_t v) {
    out[1] = key;
    if (v <= 0xff) { out[0] = 0x22; out[2] = (uint8_t)v; return out + 3; }
    if (v <= 0xffff) { out[0] = 0x23; v = __builtin_bswap16((uint16_t)v); memcpy(out + 2, &v, 2); return out + 4; }
    out[0] = 0x24; v = __builtin_bswap32(v); memcpy(out + 2, &v, 4);
    return out + 6;
}

static uint8_t *text_t(uint8_t *out, uint8_t key, const uint8_t *text, size_t length) {
    out[0] = 0x2b; out[1] = key; out[2] = 0; out[3] = (uint8_t)length;
    memcpy(out + 4, text, length);
    return out + 4 + length;
}

static uint8_t *address_t(uint8_t *out, uint8_t key, const uint8_t *p) {
    uint8_t *rest = dotted(out + 4, p);
    out[0] = 0x2b; out[1] = key; out[2] = 0; out[3] = (uint8_t)(rest - out - 4);
    return rest;
}

#define KEY(name) (memcpy(out, name, sizeof name - 1), out += sizeof name - 1)

struct context { int64_t boot; uint8_t exporter[16]; size_t exporter_length; };

static uint8_t *tlv(uint8_t *out, const uint8_t *r, const struct context *c) {
    out = address_t(out, 8, r);
    out = address_t(out, 12, r + 4);
    out = address_t(out, 15, r + 8);
    out = number_t(out, 10, be32(r + 12));
    out = number_t(out, 14, be32(r + 16));
    out = number_t(out, 2, be32(r + 20));
    out = number_t(out, 1, be32(r + 24));
    out = number_t(out, 22, (uint32_t)((c->boot + be32(r + 28)) / 1000));
    out = number_t(out, 21, (uint32_t)((c->boot + be32(r + 32)) / 1000));
    out = number_t(out, 7, be16(r + 36));
    out = number_t(out, 11, be16(r + 38));
    out = number_t(out, 6, r[40]);
    out = number_t(out, 4, r[41]);
    out = number_t(out, 5, r[42]);
    out = number_t(out, 16, be32(r + 43));
    out = number_t(out, 17, be32(r + 47));
    out = number_t(out, 9, r[51]);
    out = number_t(out, 13, r[52]);
    out = number_t(out, 61, r[53]);
    out = number_t(out, 58, be16(r + 54));
    out = text_t(out, 130, c->exporter, c->exporter_length);
    *out++ = 0x01;
    return out;
}

static uint8_t *json(uint8_t *out, const uint8_t *r, const struct context *c) {
    KEY("{\"8\":\""); out = dotted(out, r);
    KEY("\",\"12\":\""); out = dotted(out, r + 4);
    KEY("\",\"15\":\""); out = dotted(out, r + 8);
    KEY("\",\"10\":"); out = decimal(out, be32(r + 12));
    KEY(",\"14\":"); out = decimal(out, be32(r + 16));
    KEY(",\"2\":"); out = decimal(out, be32(r + 20));
    KEY(",\"1\":"); out = decimal(out, be32(r + 24));
    KEY(",\"22\":"); out = decimal(out, (uint32_t)((c->boot + be32(r + 28)) / 1000));
    KEY(",\"21\":"); out = decimal(out, (uint32_t)((c->boot + be32(r + 32)) / 1000));
    KEY(",\"7\":"); out = decimal(out, be16(r + 36));
    KEY(",\"11\":"); out = decimal(out, be16(r + 38));
    KEY(",\"6\":"); out = decimal(out, r[40]);
    KEY(",\"4\":"); out = decimal(out, r[41]);
    KEY(",\"5\":"); out = decimal(out, r[42]);
    KEY(",\"16\":"); out = decimal(out, be32(r + 43));
    KEY(",\"17\":"); out = decimal(out, be32(r + 47));
    KEY(",\"9\":"); out = decimal(out, r[51]);
    KEY(",\"13\":"); out = decimal(out, r[52]);
    KEY(",\"61\":"); out = decimal(out, r[53]);
    KEY(",\"58\":"); out = decimal(out, be16(r + 54));
    KEY(",\"130\":\""); memcpy(out, c->exporter, 16); out += c->exporter_length;
    KEY("\"}");
    return out;
}

/* A message being filled; libzmq gives its memory back. */
static struct { void *socket; uint8_t *start, *at; int flows, is_json; uint32_t id; uint64_t sent; } out;

static void give_back(void *memory, void *hint) { (void)hint; free(memory); }

static void begin(void) {
    out.start = out.at = malloc(FLOWS * LONGEST + 2);
    if (!out.start) abort();
    if (out.is_json) *out.at++ = '[';
    else { *out.at++ = 1; *out.at++ = 1; }
}

static void flush(void) {
    if (!out.flows) return;
    if (out.is_json) out.at[-1] = ']'; /* in place of the last comma */
    uint8_t header[24] = "flow";
    size_t length = (size_t)(out.at - out.start);
    uint16_t size = __builtin_bswap16((uint16_t)length);
    uint32_t id = __builtin_bswap32(++out.id);
    header[16] = out.is_json ? 2 : 3;
    memcpy(header + 18, &size, 2);
    memcpy(header + 20, &id, 4);
    zmq_msg_t body;
    zmq_msg_init_data(&body, out.start, length, give_back, NULL);
    if (zmq_send(out.socket, header, sizeof header, ZMQ_SNDMORE) < 0 || zmq_msg_send(&body, out.socket, 0) < 0)
        zmq_msg_close(&body);
    out.sent += (uint64_t)out.flows;
    out.flows = 0;
    begin();
}

static void datagram(const uint8_t *p, size_t length, const struct sockaddr_in *from) {
    struct context c;
    c.boot = (int64_t)be32(p + 8) * 1000 - be32(p + 4);
    c.exporter_length = (size_t)(dotted(c.exporter, (const uint8_t *)&from->sin_addr) - c.exporter);
    for (const uint8_t *set = p + 20, *stop = p + length; set + 4 <= stop;) {
        const uint8_t *next = set + be16(set + 2);
        if (next <= set) return;
        if (be16(set) >= 256)
            for (const uint8_t *r = set + 4; r + RECORD <= next; r += RECORD) {
                out.at = out.is_json ? json(out.at, r, &c) : tlv(out.at, r, &c);
                if (out.is_json) *out.at++ = ',';
                if (++out.flows == FLOWS) flush();
            }
        set = next;
    }
}

int main(int count, char **words) {
    if (count != 4) return fprintf(stderr, "usage: bound PORT ENDPOINT t|j\n"), 2;
    for (int i = 0; i < 256; i++) {
        char text[4];
        octets[i].length = (uint8_t)snprintf(text, sizeof text, "%d", i);
        memcpy(octets[i].text, text, 3);
    }
    for (int i = 0; i < 100; i++) pairs[i * 2] = (char)('0' + i / 10), pairs[i * 2 + 1] = (char)('0' + i % 10);

    int socket_ = socket(AF_INET, SOCK_DGRAM, 0), buffer = BUFFER;
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1])),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval wait = {0, 100000};
    setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (bind(socket_, (struct sockaddr *)&local, sizeof local)) return perror(words[1]), 1;

    void *context = zmq_ctx_new();
    int most = 100000, linger = 5000;
    out.socket = zmq_socket(context, ZMQ_PUB);
    out.is_json = words[3][0] == 'j';
    zmq_setsockopt(out.socket, ZMQ_SNDHWM, &most, sizeof most);
    zmq_setsockopt(out.socket, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_bind(out.socket, words[2])) return fprintf(stderr, "%s: %s\n", words[2], zmq_strerror(errno)), 1;
    begin();

    struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    static uint8_t bytes[BATCH][DATAGRAM];
    static struct sockaddr_in from[BATCH];
    struct iovec vectors[BATCH];
    struct mmsghdr headers[BATCH] = {0};
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){bytes[i], DATAGRAM};
        headers[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    uint64_t datagrams = 0;
    while (!ended) {
        for (int i = 0; i < BATCH; i++) headers[i].msg_hdr.msg_namelen = sizeof from[i];
        int got = recvmmsg(socket_, headers, BATCH, MSG_WAITFORONE, NULL);
        if (got < 0) { flush(); continue; }
        datagrams += (uint64_t)got;
        for (int i = 0; i < got; i++) datagram(bytes[i], headers[i].msg_len, &from[i]);
    }
    flush();
    zmq_close(out.socket);
    zmq_ctx_term(context);
    printf("%llu datagrams, %llu flows\n", (unsigned long long)datagrams, (unsigned long long)out.sent);
    return 0;
}
