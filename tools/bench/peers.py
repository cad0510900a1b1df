#!/usr/bin/env python3
"""Times PyTorch at the shapes of `respec bench kernels` and puts both into one table.

    tools/respec bench kernels --json ours.json
    tools/bench/peers.py ours.json [--json both.json] [--only rmsNorm,klDistill] [--seconds 0.3] [--minutes 8]

For every row of the JSON it times torch eager, torch.compile, and for attention also scaled_dot_product_attention, of which it names
the backend (MATH is no fused kernel, and to be faster than that says little), and FlexAttention:
between events, after warm-up, with the L2 cache flushed before each repeat, on inputs that take turns, as ours are. Peers get what suits
them: dense keys and values in place of pages, precomputed masks, and their own random numbers. A peer that fails says why in its cell
and the others go on. Compiling takes most of the time, so the middle shape of every kernel comes first, and with --minutes no other row is
begun when the time is up. The JSON is written after every row.

Needs PyTorch with CUDA. Without it this says so in one sentence, exit code 2. This script has not been run on a GPU yet.
"""

import argparse
import importlib
import json
import math
import os
import statistics
import sys
import time


def fail(sentence):
    print("peers: " + sentence, file=sys.stderr)
    sys.exit(2)


try:
    import torch
    import torch.nn.functional as F
except ImportError:
    fail("PyTorch is not installed for this Python (%s); install it, or run this with the Python that has it." % sys.executable)


def normal(*shape, dtype=torch.bfloat16):
    return torch.randn(*shape, device="cuda", dtype=dtype)


class Peer:
    """One way to compute a row: `make` builds a set of inputs and returns a call on it; `compiled` says torch.compile is applied."""

    def __init__(self, name, make):
        self.name = name
        self.make = make


def once(build):
    """A `make` that `build` gives when it is first called: what fails or takes long in it belongs to its own peer."""
    built = []

    def make():
        if not built:
            built.append(build())
        return built[0]()

    return make


def both(function, inputs):
    """Eager and compiled peers of a function of tensors."""

    def compiled():
        optimised = torch.compile(function, dynamic=False)
        return lambda: (lambda tensors: (lambda: optimised(*tensors)))(inputs())

    return [Peer("eager", lambda: (lambda tensors: (lambda: function(*tensors)))(inputs())), Peer("compile", once(compiled))]


def gradients(loss, inputs):
    """Eager and compiled peers of a loss and its gradient by the first of its tensors."""

    def calls(function):
        def make():
            tensors = inputs()
            return lambda: torch.autograd.grad(function(*tensors), tensors[0])

        return make

    return [Peer("eager", calls(loss)), Peer("compile", once(lambda: calls(torch.compile(loss, dynamic=False))))]


# --------------------------------------------------------------------------------------------------------------------- peers by kernel


def rms_norm(s):
    def function(x, weight):
        return F.rms_norm(x, (x.shape[-1],), weight, 1e-6)

    return both(function, lambda: (normal(s["rows"], s["cols"]), normal(s["cols"])))


def copy_rms_norm(s):
    def function(x, weight):
        return x.clone(), F.rms_norm(x, (x.shape[-1],), weight, 1e-6)

    return both(function, lambda: (normal(s["rows"], s["cols"]), normal(s["cols"])))


def swiglu(s):
    def function(gate_up):
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up

    return both(function, lambda: (normal(s["rows"], 2 * s["cols"]),))


def embedding(s):
    def inputs():
        return normal(s["vocab"], s["cols"]), torch.randint(s["vocab"], (s["rows"],), device="cuda")

    return both(lambda table, tokens: F.embedding(tokens, table), inputs)


def rotary(s):
    """A function of fused rows, norm weights and angles, for queries and keys normed and turned, and values."""
    heads, kv, dim = s["heads"], s["kvHeads"], s["headDim"]

    def function(qkv, q_weight, k_weight, cos, sin):
        rows = qkv.view(qkv.shape[0], heads + 2 * kv, dim)

        def turn(x, weight):
            x = F.rms_norm(x, (dim,), weight, 1e-6).float()
            low, high = x.chunk(2, dim=-1)
            return torch.cat((low * cos - high * sin, high * cos + low * sin), -1).to(qkv.dtype)

        return turn(rows[:, :heads], q_weight), turn(rows[:, heads:heads + kv], k_weight), rows[:, heads + kv:]

    return function


def rotary_inputs(s):
    dim = s["headDim"]
    angle = torch.rand(s["rows"], 1, dim // 2, device="cuda") * 6
    return normal(s["rows"], (s["heads"] + 2 * s["kvHeads"]) * dim), normal(dim), normal(dim), angle.cos(), angle.sin()


def qk_norm_rope(s):
    turned = rotary(s)
    return both(lambda *fused: torch.cat(turned(*fused), 1), lambda: rotary_inputs(s))


def cache_inputs(s):
    """A cache of keys and values, and the places that rows go to."""
    slots = torch.randperm(s["rows"] + 16, device="cuda")[: s["rows"]]
    return normal(s["rows"] + 16, 2 * s["kvHeads"] * s["headDim"]), slots


def kv_append(s):
    def function(cache, slots, rows):
        return cache.index_copy_(0, slots, rows)

    return both(function, lambda: cache_inputs(s) + (normal(s["rows"], 2 * s["kvHeads"] * s["headDim"]),))


def qk_norm_rope_append(s):
    turned = rotary(s)

    def function(cache, slots, *fused):
        q, k, v = turned(*fused)
        cache.index_copy_(0, slots, torch.cat((k, v), 1).flatten(1))
        return q

    return both(function, lambda: cache_inputs(s) + rotary_inputs(s))


class Attention:
    """A call of scaled_dot_product_attention that knows which of its backends takes these inputs: MATH is no fused kernel."""

    def __init__(self, q, k, v, **options):
        self.call = lambda: F.scaled_dot_product_attention(q, k, v, **options)
        try:
            self.backend = torch.nn.attention.SDPBackend(torch._fused_sdp_choice(q, k, v, **options)).name
        except (AttributeError, RuntimeError, TypeError, ValueError):
            # Not every PyTorch says.
            self.backend = "unknown"

    def __call__(self):
        return self.call()


def tree_masks(nodes):
    """[nodes x nodes]: ancestors of a random tree, self included."""
    mask = torch.zeros(nodes, nodes, dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    for i in range(nodes):
        if i > 0:
            mask[i] = mask[int(torch.randint(i, (1,), generator=generator))]
        mask[i, i] = True
    return mask


def tree_attention(s):
    batch, context, nodes = s["batch"], s["context"], s["nodes"]
    heads, kv, dim = s["heads"], s["kvHeads"], s["headDim"]
    tree = tree_masks(nodes)

    def inputs():
        return normal(batch, heads, nodes, dim), normal(batch, kv, context + nodes, dim), normal(batch, kv, context + nodes, dim)

    def sdpa(expanded):
        mask = torch.cat((torch.ones(nodes, context, dtype=torch.bool), tree), 1).cuda()

        def make():
            q, k, v = inputs()
            if expanded:
                k, v = (x.repeat_interleave(heads // kv, 1) for x in (k, v))
            return Attention(q, k, v, attn_mask=mask, enable_gqa=not expanded)

        return make

    def flex():
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        on_device = tree.cuda()

        def visible(b, h, q, k):
            return (k < context) | on_device[q, (k - context).clamp(min=0)]

        blocks = create_block_mask(visible, None, None, nodes, context + nodes, device="cuda")
        compiled = torch.compile(flex_attention, dynamic=False)

        def make():
            q, k, v = inputs()
            return lambda: compiled(q, k, v, block_mask=blocks, enable_gqa=True)

        return make

    # With a mask, some backends of SDPA take no shared KV heads: repeated ones cost more bytes and may still be faster.
    return [Peer("SDPA", once(lambda: sdpa(False))), Peer("SDPA with repeated KV heads", once(lambda: sdpa(True))),
            Peer("FlexAttention", once(flex))]


def sample(s):
    def function(logits):
        log_p = torch.log_softmax(logits.float() / max(s["temperature100"] / 100, 1e-3), -1)
        if s["topK"] or s["topP100"] < 100:
            values, ids = log_p.topk(s["topK"] or log_p.shape[-1])
            mass = values.exp().cumsum(-1)
            kept = mass - values.exp() < s["topP100"] / 100
            values = torch.where(kept, values, -math.inf)
            choice = (values - torch.empty_like(values).exponential_().log()).argmax(-1, keepdim=True)
            return ids.gather(-1, choice), values.gather(-1, choice)
        score = log_p if s["temperature100"] == 0 else log_p - torch.empty_like(log_p).exponential_().log()
        choice = score.argmax(-1, keepdim=True)
        return choice, log_p.gather(-1, choice)

    dtype = torch.float32 if s["dtype"] == "F32" else torch.bfloat16
    return both(function, lambda: (normal(s["rows"], s["vocab"], dtype=dtype),))


def draft_expand(s):
    rows = s["requests"] * (1 + (s["levels"] - 1) * s["branch"])

    def function(logits):
        score = torch.log_softmax(logits.float(), -1)
        return (score - torch.empty_like(score).exponential_().log()).topk(s["branch"])

    return both(function, lambda: (normal(rows, s["vocab"]),))


def top_log_probs(s):
    return both(lambda logits: torch.log_softmax(logits.float(), -1).topk(s["k"]), lambda: (normal(s["rows"], s["vocab"]),))


def kl_distill(s):
    def loss(logits, ids, log_probs, tails):
        log_q = torch.log_softmax(logits.float(), -1)
        picked = log_q.gather(-1, ids)
        rest = torch.log1p(-picked.exp().sum(-1).clamp(max=1 - 1e-6))
        return (0.5 * ((log_probs.exp() * (log_probs - picked)).sum(-1) + tails.exp() * (tails - rest))).sum()

    def inputs():
        logits = normal(s["rows"], s["vocab"]).requires_grad_()
        ids = torch.stack([torch.randperm(s["vocab"], device="cuda")[: s["k"]] for _ in range(s["rows"])])
        log_probs = torch.full((s["rows"], s["k"]), math.log(0.9 / s["k"]), device="cuda")
        return logits, ids, log_probs, torch.full((s["rows"],), math.log(0.1), device="cuda")

    return gradients(loss, inputs)


def policy_loss(s):
    """The gradient is F32, as the logits are: PyTorch has no other for them."""

    def loss(logits, targets, weights, advantages, old, rollout):
        log_probs = torch.log_softmax(logits, -1).gather(-1, targets).squeeze(-1)
        ratio = (log_probs - old).exp()
        gain = torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages)
        return -(weights * (old - rollout).exp().clamp(max=2) * gain).sum()

    def inputs():
        rows, vocab = s["rows"], s["vocab"]
        logits = normal(rows, vocab, dtype=torch.float32).requires_grad_()
        targets = torch.randint(vocab, (rows, 1), device="cuda")
        weights, advantages, old = (torch.full((rows,), value, device="cuda") for value in (1e-3, 0.5, -10.0))
        return logits, targets, weights, advantages, old, old

    return gradients(loss, inputs)


def chain_inputs(s, gradient):
    count, length, heads, kv, dim = s["sequences"], s["length"], s["heads"], s["kvHeads"], s["headDim"]
    q = normal(count, heads, length, dim).requires_grad_(gradient)
    k = normal(count, kv, length * (1 + s["depth"]), dim).requires_grad_(gradient)
    v = normal(count, kv, length * (1 + s["depth"]), dim).requires_grad_(gradient)
    return q, k, v


def chain_calls(s, attention, gradient):
    def make():
        q, k, v = chain_inputs(s, gradient)
        if not gradient:
            return lambda: attention(q, k, v)
        out = attention(q, k, v)
        up = torch.randn_like(out)
        return lambda: torch.autograd.grad(out, (q, k, v), up, retain_graph=True)

    return make


def chain(s, gradient):
    """Equal sequences are a batch. At a depth, key row t of step d lies at d * length + t. A gradient is timed without its forward
    pass."""
    length = s["length"]
    peers = []
    if s["depth"] == 0:
        def sdpa(q, k, v):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

        peers.append(Peer("SDPA", chain_calls(s, sdpa, gradient)))

    def flex():
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        def visible(b, h, q, k):
            return torch.where(k < length, k <= q, k % length == q)

        blocks = create_block_mask(visible, None, None, length, length * (1 + s["depth"]), device="cuda")
        compiled = torch.compile(flex_attention, dynamic=False)
        return chain_calls(s, lambda q, k, v: compiled(q, k, v, block_mask=blocks, enable_gqa=True), gradient)

    peers.append(Peer("FlexAttention", once(flex)))
    return peers


def adam_w(s, convert):
    """A step, then, if `convert`, a copy of the new weights in bf16, which no optimizer of PyTorch's makes itself."""

    def optimizer(**options):
        def make():
            weight = torch.nn.Parameter(normal(s["elements"], dtype=torch.float32))
            weight.grad = normal(s["elements"], dtype=torch.float32)
            step = torch.optim.AdamW([weight], lr=1e-5, betas=(0.9, 0.95), weight_decay=0.01, **options).step
            if not convert:
                return step
            copy = torch.empty(s["elements"], device="cuda", dtype=torch.bfloat16)

            def step_and_copy():
                step()
                copy.copy_(weight.detach())

            return step_and_copy

        return make

    return [Peer("eager", optimizer(foreach=True)), Peer("fused", optimizer(fused=True))]


def squared_norm(s):
    return both(lambda x: x.square().sum(), lambda: (normal(s["elements"], dtype=torch.float32),))


PEERS = {
    "rmsNorm": rms_norm, "copyRmsNorm": copy_rms_norm, "swiglu": swiglu, "embedding": embedding, "qkNormRope": qk_norm_rope,
    "kvAppend": kv_append, "qkNormRopeAppend": qk_norm_rope_append, "treeAttention": tree_attention, "sample": sample,
    "draftExpand": draft_expand, "topLogProbs": top_log_probs, "klDistill": kl_distill, "policyLoss": policy_loss,
    "chainAttention": lambda s: chain(s, False), "chainAttentionBackward": lambda s: chain(s, True),
    "adamW": lambda s: adam_w(s, False), "adamWConvert": lambda s: adam_w(s, True), "squaredNorm": squared_norm,
}

# ---------------------------------------------------------------------------------------------------------------------------- timing


class Flush:
    """Drives all out of the L2 cache: a write over more than twice its size, then a read of as much, so that nothing is left to write."""

    def __init__(self, l2):
        count = (2 * l2 + l2 // 4) // 4
        self.written = torch.empty(count, device="cuda", dtype=torch.int32)
        self.read = torch.randn(count, device="cuda")

    def __call__(self, word):
        self.written.fill_(word)
        self.read.sum()


def measure(make, input_bytes, seconds, flush, l2):
    """Median and least seconds of a call, as KernelBench takes them, and the backend that a call of SDPA took."""
    copies = int(min(8, max(2, 2 * l2 // max(1, input_bytes) + 1)))
    copies = int(max(1, min(copies, 0.4 * torch.cuda.mem_get_info()[0] // max(1, input_bytes))))
    calls = [make() for _ in range(copies)]
    for call in calls + calls:
        call()
    torch.cuda.synchronize()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for i in range(5):
        calls[i % copies]()
    end.record()
    torch.cuda.synchronize()
    once = begin.elapsed_time(end) / 5e3
    repeats = int(min(100, max(7, seconds / max(once, 1e-6))))
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for i, (first, last) in enumerate(events):
        flush(i + 1)
        first.record()
        calls[i % copies]()
        last.record()
    torch.cuda.synchronize()
    times = [first.elapsed_time(last) * 1e-3 for first, last in events]
    return statistics.median(times), min(times), getattr(calls[0], "backend", None)


def forget_compiled():
    """Without this the compiler gives up on a function after some shapes, and times of the last ones would be those of eager mode."""
    if hasattr(torch, "_dynamo"):
        torch._dynamo.reset()
    torch.cuda.empty_cache()


def middle_first(rows):
    """The middle row of every kernel, then its neighbours, kernels taking turns."""
    names = [row["kernel"] for row in rows]
    place = {id(row): names[:i].count(row["kernel"]) for i, row in enumerate(rows)}
    return sorted(rows, key=lambda row: abs(place[id(row)] - names.count(row["kernel"]) // 2))


def write(report, path):
    """A file that is whole at any time."""
    if path:
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
            file.write("\n")
        os.replace(path + ".tmp", path)


def time_row(row, seconds, flush, l2):
    """Times a row's peers; returns their cells of the table."""
    torch.manual_seed(1)
    row["peers"] = {}
    ours = row.get("median_seconds")
    cells = []
    for peer in PEERS[row["kernel"]](dict(row["shape"], dtype=row["dtype"])):
        try:
            forget_compiled()
            median, least, backend = measure(peer.make, row["bytes"], seconds, flush, l2)
            row["peers"][peer.name] = {"median_seconds": median, "min_seconds": least}
            if backend:
                row["peers"][peer.name]["backend"] = backend
            name = "%s [%s]" % (peer.name, backend) if backend else peer.name
            cells.append("%s %.2f%s" % (name, median * 1e6, " (%.2f)" % (median / ours) if ours else ""))
        except Exception as e:  # One peer that cannot run must not end the table.
            reason = (str(e).splitlines() or [type(e).__name__])[0][:120]
            row["peers"][peer.name] = {"not_run": reason}
            cells.append("%s not run: %s" % (peer.name, reason))
    return cells


def main():
    parser = argparse.ArgumentParser(description="Times PyTorch at the shapes of `respec bench kernels` and merges both.")
    parser.add_argument("ours", help="JSON written by `respec bench kernels --json`")
    parser.add_argument("--json", help="where the merged rows go")
    parser.add_argument("--only", help="only these kernels, comma-separated")
    parser.add_argument("--seconds", type=float, default=0.3, help="time aimed at for each peer and row")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no row is begun after this time")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    try:
        with open(options.ours, encoding="utf-8") as file:
            report = json.load(file)
        rows = report["rows"]
    except (OSError, ValueError, KeyError) as e:
        fail("%s is no report of `respec bench kernels` (%s)." % (options.ours, e))
    if not torch.cuda.is_available():
        fail("PyTorch %s sees no CUDA device; run this where `respec bench kernels` ran." % torch.__version__)
    if report.get("emulated"):
        fail("%s comes from the emulator, whose times say nothing about a GPU; make it with --device cuda." % options.ours)
    name = torch.cuda.get_device_name()
    if name not in report["device"]["name"] and report["device"]["name"] not in name:
        fail("%s was measured on %s and this is %s; both must be one device." % (options.ours, report["device"]["name"], name))
    only = options.only.split(",") if options.only else None
    try:
        # A backward pass is timed again and again on what one forward pass kept. Importing torch alone does not load this module.
        importlib.import_module("torch._functorch.config").donated_buffer = False
    except ImportError:
        pass
    l2 = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 << 20)
    flush = Flush(l2)
    report["peers"] = {"torch": torch.__version__, "cuda": torch.version.cuda}
    print("%s, torch %s, CUDA %s" % (name, torch.__version__, torch.version.cuda))
    print("%-22s %-60s %11s  %s" % ("kernel", "shape", "ours us", "peers us (times ours)"), flush=True)
    wanted = [row for row in rows if row["kernel"] in PEERS and (not only or row["kernel"] in only)]
    for done, row in enumerate(middle_first(wanted)):
        if time.monotonic() > deadline:
            report["peers"]["rows_left_out"] = len(wanted) - done
            print("the time of %g minutes is up: %d of %d rows were left out" % (options.minutes, len(wanted) - done, len(wanted)))
            break
        cells = time_row(row, options.seconds, flush, l2)
        ours = row.get("median_seconds")
        shape = " ".join("%s=%s" % item for item in row["shape"].items())
        print("%-22s %-60s %11s  %s" % (row["kernel"], shape, "%.2f" % (ours * 1e6) if ours else "not run", ", ".join(cells)), flush=True)
        write(report, options.json)
    write(report, options.json)


if __name__ == "__main__":
    main()
