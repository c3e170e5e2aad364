"""The rate of each record: its own sampler or selector looked up in the options
data, else its own interval, else what the options give for the exporter, else
the v5 header's, else 1.

Rates of an options record: 34 and 50 are 1-in-N; 309 of 310 is N/n (RFC 5477
section 8.2.4); 305 taken and 306 left out is (305 + 306) / 305 (section 8.2.1
and 8.2.2); 305 alone is what Cisco sends for 1-in-N; 311 is 1/p.
"""

SAMPLERS = ((0, 48), (0, 302))


def rate_of(fields):
    """The rate the fields of an options record give, or None."""
    found = {key: value for key, value in fields if isinstance(value, (int, float)) and value}
    for number in (50, 34):
        if (0, number) in found:
            return found[0, number]
    if (0, 309) in found and (0, 310) in found:
        return ratio(found[0, 310], found[0, 309])
    if (0, 305) in found:
        if any(key == (0, 306) for key, _ in fields):
            return ratio(found[0, 305] + found.get((0, 306), 0), found[0, 305])
        return found[0, 305]
    if (0, 311) in found and 0 < found[0, 311] <= 1:
        return round(1 / found[0, 311])
    return None


def ratio(whole, part):
    return whole // part if whole % part == 0 else whole / part


def apply(flows, options):
    """Gives each flow its rate."""
    by_sampler, by_exporter = {}, {}
    for exporter, domain, version, scopes, rest in options:
        rate = rate_of(rest)
        if rate is None:
            continue
        every = [(k, v) for k, v in [*scopes, *rest] if k in SAMPLERS]
        for _, number in every:
            by_sampler[exporter, domain, number] = rate
        if not every:
            by_exporter[exporter, domain] = rate
    for flow in flows:
        place = flow.exporter, flow.domain
        number = next((v for k, v in flow.fields if k in SAMPLERS), None)
        own = rate_of(flow.fields)
        rate = by_sampler.get((*place, number)) if number is not None else None
        flow.rate = rate or own or by_exporter.get(place) or getattr(flow, "header_rate", None) or 1
