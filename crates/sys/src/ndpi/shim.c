/*
 * What flowsonde needs of libndpi, the same for every version from 4.2 on. FS_NDPI is the version built for, as
 * pkg-config tells it: 402 is 4.2.
 *
 * A packet crosses this border once, and a flow's verdict comes back flat: the library's own structs, which change with
 * each release, stay on this side.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ndpi_api.h>

#ifndef FS_NDPI
#error "FS_NDPI has to be the version of libndpi, 402 for 4.2"
#endif

#if FS_NDPI > 410
#define MASTER(p) ((p).proto.master_protocol)
#define APP(p) ((p).proto.app_protocol)
#else
#define MASTER(p) ((p).master_protocol)
#define APP(p) ((p).app_protocol)
#endif

typedef struct ndpi_detection_module_struct module_t;
typedef struct ndpi_flow_struct flow_t;

/* As `Verdict` in ffi.rs. */
struct verdict {
  uint64_t risk;
  uint16_t master, app, category, score, client_score, server_score;
  uint8_t breed, confidence, host_len;
  char host[80];
};

enum { PROTOCOLS, CATEGORIES, BREEDS, CONFIDENCES, RISKS };

uint32_t fs_ndpi_api_built_for(void) { return NDPI_API_VERSION; }
uint32_t fs_ndpi_api_loaded(void) { return ndpi_get_api_version(); }
uint32_t fs_ndpi_flow_built_for(void) { return sizeof(flow_t); }
uint32_t fs_ndpi_flow_loaded(void) { return ndpi_detection_get_sizeof_ndpi_flow_struct(); }
const char *fs_ndpi_revision(void) { return ndpi_revision(); }

module_t *fs_ndpi_new(void) {
#if FS_NDPI >= 410
  module_t *module = ndpi_init_detection_module(NULL);
#else
  module_t *module = ndpi_init_detection_module(ndpi_no_prefs);
#endif
#if FS_NDPI < 500
  if (module) {
    NDPI_PROTOCOL_BITMASK all;
    NDPI_BITMASK_SET_ALL(all);
    ndpi_set_protocol_detection_bitmask2(module, &all);
  }
#endif
  return module;
}

/* What the library thinks of a rule it prints on standard output, where records may go: that goes to standard error. */
static int turn_aside(void) {
  fflush(stdout);
  int kept = dup(1);
  if (kept >= 0) dup2(2, 1);
  return kept;
}

static void turn_back(int kept) {
  fflush(stdout);
  if (kept < 0) return;
  dup2(kept, 1);
  close(kept);
}

int fs_ndpi_load_protocols(module_t *module, const char *path) {
  int kept = turn_aside();
  int result = ndpi_load_protocols_file(module, path);
  turn_back(kept);
  return result;
}

int fs_ndpi_load_categories(module_t *module, const char *path) {
  int kept = turn_aside();
#if FS_NDPI >= 404
  int result = ndpi_load_categories_file(module, path, NULL);
#else
  int result = ndpi_load_categories_file(module, path);
#endif
  turn_back(kept);
  return result;
}

/* `guess`: by port and address where packets told nothing. */
int fs_ndpi_ready(module_t *module, int guess) {
#if FS_NDPI >= 410
  if (!guess) ndpi_set_config(module, NULL, "dpi.guess_on_giveup", "0");
  return ndpi_finalize_initialization(module);
#else
  (void)guess;
  ndpi_finalize_initialization(module);
  return 0;
#endif
}

void fs_ndpi_end(module_t *module) { ndpi_exit_detection_module(module); }

flow_t *fs_ndpi_flow_new(void) {
  flow_t *flow = ndpi_flow_malloc(sizeof(flow_t));
  if (flow) memset(flow, 0, sizeof(flow_t));
  return flow;
}

/* Makes a flow as good as new. */
void fs_ndpi_flow_clear(flow_t *flow) {
  ndpi_free_flow_data(flow);
  memset(flow, 0, sizeof(flow_t));
}

/* Has it read into the cache, without waiting. */
void fs_ndpi_flow_touch(const flow_t *flow) {
  for (size_t at = 0; at < sizeof(flow_t); at += 64) __builtin_prefetch((const char *)flow + at, 1);
}

void fs_ndpi_flow_end(flow_t *flow) { ndpi_free_flow(flow); }

static void tell(module_t *module, flow_t *flow, ndpi_protocol found, struct verdict *out) {
  uint16_t app = APP(found) != NDPI_PROTOCOL_UNKNOWN ? APP(found) : MASTER(found);
  out->master = MASTER(found);
  out->app = APP(found);
  out->category = found.category;
  out->breed = ndpi_get_proto_breed(module, app);
  out->confidence = flow->confidence;
  out->risk = flow->risk;
  out->client_score = out->server_score = 0;
  out->score = ndpi_risk2score(flow->risk, &out->client_score, &out->server_score);
  out->host_len = strnlen(flow->host_server_name, sizeof(flow->host_server_name) - 1);
  if (out->host_len > sizeof(out->host)) out->host_len = sizeof(out->host);
  memcpy(out->host, flow->host_server_name, out->host_len);
}

static ndpi_protocol give_up(module_t *module, flow_t *flow, int guess) {
  u_int8_t guessed = 0;
#if FS_NDPI >= 410
  (void)guess;
  return ndpi_detection_giveup(module, flow, &guessed);
#else
  return ndpi_detection_giveup(module, flow, guess != 0, &guessed);
#endif
}

/*
 * Whether the library may be shown this packet as one of that flow. What it keeps of a flow is a union by transport
 * protocol: packets of two protocols in one flow would be read one as the other, so the library's own view of the packet
 * counts, not the caller's. What it cannot read as IP, and later fragments, are not shown at all.
 */
static int fits(const flow_t *flow, const uint8_t *ip, uint16_t len) {
  const u_int8_t *l4 = NULL;
  u_int16_t l4_len = 0;
  u_int8_t protocol = 0;
  if (ndpi_detection_get_l4(ip, len, &l4, &l4_len, &protocol, 0) != 0) return 0;
  return flow->l4_proto == 0 || flow->l4_proto == protocol;
}

/*
 * Shows a flow's next packet, from its IP header on. 1 when the verdict stands and is in `out`; always 1 of the `last`.
 * Unless `early`, the library may want more packets of a flow it knows.
 */
int fs_ndpi_packet(module_t *module, flow_t *flow, const uint8_t *ip, uint16_t len, uint64_t ms, int last, int early,
                   int guess, struct verdict *out) {
  if (!fits(flow, ip, len)) {
    if (last) tell(module, flow, give_up(module, flow, guess), out);
    return last;
  }
#if FS_NDPI >= 406
  ndpi_protocol found = ndpi_detection_process_packet(module, flow, ip, len, ms, NULL);
#else
  ndpi_protocol found = ndpi_detection_process_packet(module, flow, ip, len, ms);
#endif
  int known = APP(found) != NDPI_PROTOCOL_UNKNOWN;
  if (!last && (!known || (!early && ndpi_extra_dissection_possible(module, flow)))) return 0;
  if (!known) found = give_up(module, flow, guess);
  tell(module, flow, found, out);
  return 1;
}

/* Whose network an IPv4 address, in network byte order, is of: a protocol. Rules for a port of that network do not count. */
uint16_t fs_ndpi_address(module_t *module, uint32_t address) {
  struct in_addr in = { address };
  return ndpi_network_port_ptree_match(module, &in, 0);
}

/* No packet follows. */
void fs_ndpi_give_up(module_t *module, flow_t *flow, int guess, struct verdict *out) {
  tell(module, flow, give_up(module, flow, guess), out);
}

uint32_t fs_ndpi_count(module_t *module, int what) {
  switch (what) {
    case PROTOCOLS: return ndpi_get_num_supported_protocols(module);
    case CATEGORIES: return NDPI_PROTOCOL_NUM_CATEGORIES;
    case BREEDS: return NUM_BREEDS;
    case CONFIDENCES: return NDPI_CONFIDENCE_MAX;
    default: return NDPI_MAX_RISK;
  }
}

const char *fs_ndpi_name(module_t *module, int what, uint32_t i) {
  switch (what) {
    case PROTOCOLS: return ndpi_get_proto_name(module, i);
    case CATEGORIES: return ndpi_category_get_name(module, i);
    case BREEDS: return ndpi_get_proto_breed_name(module, i);
    case CONFIDENCES: return ndpi_confidence_get_name(i);
    default: return ndpi_risk2str(i);
  }
}
