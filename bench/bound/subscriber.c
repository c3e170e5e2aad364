/* Counts what a publisher of flows sends: `subscriber ENDPOINT`.
 *
 * Prints a line when it is connected and, on SIGTERM, one with the messages, flows, bytes, and messages missing by the
 * message id of header version 1. Knows TLV (version 3) and JSON (2), uncompressed. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static volatile sig_atomic_t ended;
static void end(int number) { (void)number; ended = 1; }

/* Records of a TLV message, by walking its items; the last may lack its end. */
static uint64_t records(const uint8_t *p, size_t length) {
    static const uint8_t width[16] = {0, 0, 1, 2, 4, 8, 1, 2, 4, 8, 4};
    uint64_t count = 0;
    int open = 0;
    for (size_t at = 2; at < length;) {
        uint8_t type = p[at++], key = type >> 4, value = type & 15;
        if (value == 1) { count++; open = 0; continue; }
        open = 1;
        if (key == 11 && at + 2 <= length) at += 2 + (size_t)(p[at] << 8 | p[at + 1]);
        else at += width[key];
        if (value == 11 && at + 2 <= length) at += 2 + (size_t)(p[at] << 8 | p[at + 1]);
        else at += width[value];
    }
    return count + (uint64_t)open;
}

/* Objects of a JSON array whose values are no objects and whose texts hold no brace. */
static uint64_t objects(const uint8_t *p, size_t length) {
    uint64_t count = 0;
    for (const uint8_t *at = p, *stop = p + length; (at = memchr(at, '{', (size_t)(stop - at))); at++) count++;
    return count;
}

int main(int words_, char **words) {
    if (words_ != 2) return fprintf(stderr, "usage: subscriber ENDPOINT\n"), 2;
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_SUB);
    int unlimited = 0, again = 20, wait = 200, buffer = 8 << 20;
    zmq_setsockopt(socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &again, sizeof again);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait, sizeof wait);
    zmq_setsockopt(socket, ZMQ_RCVBUF, &buffer, sizeof buffer);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "flow", 4);
    zmq_socket_monitor(socket, "inproc://watch", ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    void *watch = zmq_socket(context, ZMQ_PAIR);
    zmq_connect(watch, "inproc://watch");
    if (zmq_connect(socket, words[1])) return fprintf(stderr, "%s: %s\n", words[1], zmq_strerror(errno)), 1;

    uint64_t messages = 0, flows = 0, bytes = 0, missing = 0;
    uint32_t last = 0;
    int connected = 0;
    zmq_msg_t header, body;
    zmq_msg_init(&header);
    zmq_msg_init(&body);
    while (!ended) {
        if (!connected && zmq_msg_recv(&body, watch, ZMQ_DONTWAIT) >= 0) {
            connected = 1;
            puts("connected");
            fflush(stdout);
        }
        if (zmq_msg_recv(&header, socket, 0) < 0 || !zmq_msg_more(&header)) continue;
        if (zmq_msg_recv(&body, socket, 0) < 0) continue;
        const uint8_t *head = zmq_msg_data(&header), *data = zmq_msg_data(&body);
        size_t length = zmq_msg_size(&body);
        if (zmq_msg_size(&header) != 24) continue;
        uint32_t id;
        memcpy(&id, head + 20, 4);
        id = __builtin_bswap32(id);
        if (last && id > last + 1) missing += id - last - 1;
        last = id;
        messages++;
        bytes += length;
        flows += head[16] == 3 ? records(data, length) : objects(data, length);
    }
    printf("{\"messages\":%llu,\"flows\":%llu,\"bytes\":%llu,\"missing\":%llu}\n", (unsigned long long)messages,
           (unsigned long long)flows, (unsigned long long)bytes, (unsigned long long)missing);
    return 0;
}
