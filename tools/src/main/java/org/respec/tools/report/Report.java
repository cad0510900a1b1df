package org.respec.tools.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import org.respec.engine.rollout.StepGroup;

/** What is to be said of one run, or of several side by side: as a page, or as JSON. */
public final class Report {
    private static final int MOST_PLANS = 12;

    private final List<RunRecord> runs;
    private final List<StepLoad> loads;
    private final List<RunFigures> figures = new ArrayList<>();

    /**
     * Looks at runs.
     *
     * @throws org.respec.engine.BadInput if a metrics line holds something else than a run writes
     */
    public Report(List<RunRecord> runs) {
        this.runs = runs;
        loads = runs.stream().map(StepLoad::of).toList();
        for (int i = 0; i < runs.size(); i++) {
            figures.add(RunFigures.of(runs.get(i), loads.get(i)));
        }
    }

    // ----------------------------------------------------------------------------------------------------------------- JSON

    /** The numbers of the summary table. */
    public ObjectNode toJson() {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        ArrayNode list = json.putArray("runs");
        figures.forEach(each -> each.addTo(list.addObject()));
        if (runs.size() > 1) {
            putSame(json, "same_trajectories", RunFigures::trajectories);
            putSame(json, "same_weights", RunFigures::weights);
            ObjectNode differences = json.putObject("config_differences");
            ConfigDifferences.of(runs).values().forEach((key, values) -> {
                ObjectNode byRun = differences.putObject(key);
                for (int i = 0; i < runs.size(); i++) {
                    byRun.put(runs.get(i).name(), values.get(i));
                }
            });
        }
        return json;
    }

    private void putSame(ObjectNode json, String key, Function<RunFigures, String> hash) {
        Boolean same = same(hash);
        if (same != null) {
            json.put(key, same);
        }
    }

    /** Whether all runs have one hash; null where one of them has none. */
    private Boolean same(Function<RunFigures, String> hash) {
        if (figures.stream().map(hash).anyMatch(Objects::isNull)) {
            return null;
        }
        return figures.stream().map(hash).distinct().count() == 1;
    }

    // ----------------------------------------------------------------------------------------------------------------- page

    /** One HTML page that needs nothing else. */
    public String toHtml(Instant now) {
        Page page = new Page();
        RunFigures first = figures.getFirst();
        if (runs.size() == 1) {
            page.title = "Run " + first.name();
            page.about = aboutOne(runs.getFirst(), first);
            cards(page, first);
        } else {
            page.title = runs.size() + " runs compared";
            page.about = String.join(" · ", runs.stream().map(RunRecord::name).toList());
        }
        for (RunRecord run : runs) {
            for (JsonNode alarm : run.summary().path("alarms")) {
                page.alarms.add(runs.size() == 1 ? alarm.asText() : run.name() + ": " + alarm.asText());
            }
        }
        summary(page);
        learning(page);
        speculation(page);
        if (runs.size() > 1) {
            Page.Section time = page.section("Time and tail");
            time.plot(Figures.timeByRun(runs), null);
            time.plot(Figures.lengths(runs), "Runs that drew the same trajectories have the same lengths.");
            time.plot(Figures.overIterations(runs, "Host processors in rollouts", Axis.share("processor time used"), "host_load",
                "rollout"), "Share of all processors' time that the process used.");
            time.plot(Figures.overIterations(runs, "Device used by others in rollouts", Axis.share("share of the device"), "utilization",
                "others"), "What the plan solver took others to use: mean over decode steps.");
        }
        for (int i = 0; i < runs.size(); i++) {
            details(page, runs.get(i), loads.get(i), figures.get(i));
        }
        return page.render("Made by respec on " + now.toString().replaceAll("T(\\d\\d:\\d\\d).*", " at $1 UTC") + " from "
            + String.join(", ", runs.stream().map(run -> run.folder().toAbsolutePath().normalize().toString()).toList()) + ".");
    }

    private static String aboutOne(RunRecord run, RunFigures figures) {
        List<String> parts = new ArrayList<>();
        parts.add(figures.iterations() + " iterations");
        if (run.config().has("run")) {
            parts.add("seed " + run.config().at("/run/seed").asText());
            parts.add("speculation " + run.config().at("/speculation/mode").asText());
            parts.add(run.config().at("/rollout/max_batch").asText() + " live requests at most");
        }
        if (figures.device() != null) {
            // What follows says why it is not another one.
            parts.add(figures.device().replaceAll(", since .*", ""));
        }
        return String.join(" · ", parts);
    }

    private static void cards(Page page, RunFigures f) {
        if (Double.isFinite(f.accuracyAfter())) {
            page.card("held-out accuracy", Numbers.percent(f.accuracyAfter()), "before: " + Numbers.percent(f.accuracyBefore()));
        }
        if (Double.isFinite(f.rewardLast())) {
            page.card("mean reward", Numbers.decimals(f.rewardLast(), 3), "first iteration: " + Numbers.decimals(f.rewardFirst(), 3));
        }
        if (Double.isFinite(f.acceptLast())) {
            page.card("accept length", Numbers.decimals(f.acceptLast(), 2), "first iteration: " + Numbers.decimals(f.acceptFirst(), 2));
        }
        if (Double.isFinite(f.ratioToOff())) {
            page.card("speed against off", Numbers.times(f.ratioToOff()), "by turns, on the same prompts");
        }
        if (Double.isFinite(f.tokensPerSecond())) {
            page.card("rollout speed", Numbers.speed(f.tokensPerSecond()) + " tokens/s", Numbers.count(f.tokens()) + " tokens");
        }
        if (Double.isFinite(f.secondsTotal())) {
            page.card("time", Numbers.seconds(f.secondsTotal()), Numbers.percent(f.secondsRollout() / f.secondsTotal()) + " in rollouts");
        }
    }

    private void summary(Page page) {
        Page.Section section = page.section("Summary");
        if (runs.size() > 1) {
            section.lead = sameness();
        }
        List<String> head = new ArrayList<>(List.of(""));
        runs.forEach(run -> head.add(run.name()));
        Page.Table table = section.table(head);
        section.narrow = runs.size() == 1;
        RunFigures first = figures.getFirst();
        row(table, "iterations", f -> Numbers.count(f.iterations()));
        row(table, "held-out accuracy before", f -> Numbers.percent(f.accuracyBefore()));
        row(table, "held-out accuracy after", f -> Numbers.percent(f.accuracyAfter()));
        row(table, "reward, first → last iteration", 
            f -> Numbers.decimals(f.rewardFirst(), 3) + " → " + Numbers.decimals(f.rewardLast(), 3));
        row(table, "accept length, first → last iteration (bonus included)",
            f -> Numbers.decimals(f.acceptFirst(), 2) + " → " + Numbers.decimals(f.acceptLast(), 2));
        row(table, "accept length, mean", f -> Numbers.decimals(f.acceptMean(), 2));
        row(table, "response tokens", f -> Numbers.count(f.tokens()));
        row(table, "response length, mean / longest", f -> Numbers.decimals(f.lengthMean(), 1) + " / " + Numbers.count(f.lengthMax()));
        row(table, "rollout tokens/s", f -> Numbers.speed(f.tokensPerSecond()));
        if (runs.size() > 1) {
            row(table, "rollout tokens/s against " + first.name(), f -> Numbers.times(f.tokensPerSecond() / first.tokensPerSecond()));
        }
        row(table, "speed against off, by turns at the end", f -> Numbers.times(f.ratioToOff()));
        row(table, "decode time with few live requests (tail)", f -> Double.isFinite(f.tailSeconds())
            ? Numbers.percent(f.tailSeconds()) + " at ≤ " + f.tailLive() : Numbers.NONE);
        row(table, "preempted requests", f -> Numbers.count(f.preemptions()));
        row(table, "time in rollouts", f -> Numbers.seconds(f.secondsRollout()));
        row(table, "… of it drafting", f -> Numbers.seconds(f.draftSeconds()));
        row(table, "… of it verifying and sampling", f -> Numbers.seconds(f.verifySeconds()));
        row(table, "time in actor updates", f -> Numbers.seconds(f.secondsActor()));
        row(table, "time in drafter updates", f -> Numbers.seconds(f.secondsDrafter()));
        if (figures.stream().anyMatch(f -> Double.isFinite(f.secondsDrafterExposed()))) {
            row(table, "… of it exposed (not hidden behind other work)", f -> Numbers.seconds(f.secondsDrafterExposed()));
        }
        row(table, "time in all, evaluation and files included", f -> Numbers.seconds(f.secondsTotal()));
        row(table, "trajectories, SHA-256", f -> shortHash(f.trajectories()));
        row(table, "actor weights, SHA-256", f -> shortHash(f.weights()));
        for (int i = 0; i < runs.size(); i++) {
            missing(section, runs.get(i), loads.get(i));
        }
        if (runs.size() > 1) {
            differences(page);
        }
    }

    private String sameness() {
        Boolean trajectories = same(RunFigures::trajectories);
        Boolean weights = same(RunFigures::weights);
        if (trajectories == null || weights == null) {
            return "Whether the runs drew the same trajectories is not known: not all of them have ended.";
        }
        if (trajectories && weights) {
            return "All runs drew the same trajectories and ended with the same actor weights, bit for bit: they differ in time and drafter"
                + " alone.";
        }
        return trajectories ? "All runs drew the same trajectories, but their actor weights differ."
            : "The runs drew different trajectories.";
    }

    private void row(Page.Table table, String name, Function<RunFigures, String> value) {
        List<String> cells = figures.stream().map(value).toList();
        // A row of which nothing is known would only be in the way.
        if (cells.stream().anyMatch(cell -> cell.chars().anyMatch(Character::isLetterOrDigit))) {
            table.row(name, cells);
        }
    }

    private static String shortHash(String hash) {
        return hash == null ? Numbers.NONE : hash.substring(0, Math.min(12, hash.length()));
    }

    private static void missing(Page.Section section, RunRecord run, StepLoad load) {
        List<String> lacks = new ArrayList<>();
        if (run.lines().isEmpty()) {
            lacks.add("no iteration yet");
        }
        if (!run.ended()) {
            lacks.add("no summary.json, for it has not ended: accuracies, total time and speed against off are not known");
        }
        if (run.config().isMissingNode()) {
            lacks.add("no config.json, which earlier versions did not keep");
        }
        if (!run.lines().isEmpty() && load.isEmpty()) {
            lacks.add("no steps by live requests, which earlier versions did not keep: its plans cannot be set against the load");
        }
        if (!lacks.isEmpty()) {
            section.notes.add(run.name() + " has " + String.join("; ", lacks) + ".");
        }
        Set<String> plans = new HashSet<>();
        run.lines().forEach(line -> line.section("plans").fieldNames().forEachRemaining(plans::add));
        if (plans.equals(Set.of("off"))) {
            section.notes.add(run.name() + " never speculated, so its accept length is 1.");
        }
    }

    private void differences(Page page) {
        Page.Section section = page.section("Config differences");
        Map<String, List<String>> values = ConfigDifferences.of(runs).values();
        if (values.isEmpty()) {
            boolean unknown = runs.stream().filter(run -> !run.config().isMissingNode()).count() < 2;
            section.lead = unknown ? "Fewer than two of these runs kept their config, so it cannot be compared."
                : "The configs are the same, run.dir apart.";
            return;
        }
        List<String> head = new ArrayList<>(List.of("key"));
        runs.forEach(run -> head.add(run.name()));
        Page.Table table = section.table(head);
        values.forEach(table::row);
    }

    private void learning(Page page) {
        Page.Section section = page.section("Learning");
        section.plot(Figures.overIterations(runs, "Reward", Axis.linear("mean reward"), "reward"),
            runs.size() > 1 && Boolean.TRUE.equals(same(RunFigures::trajectories))
                ? "One line hides the others: the rewards are the same." : null);
        section.plot(Figures.accuracy(runs), null);
        section.plot(Figures.overIterations(runs, "Gradient norm of the actor", Axis.fromZero("norm before clipping"), "grad_norm"), null);
        section.plot(Figures.overIterations(runs, "Loss of the drafter", Axis.fromZero("KL and total variation, as configured"),
            "distill_loss"), null);
        if (runs.stream().anyMatch(run -> Arrays.stream(run.values("mismatch", "mean")).anyMatch(mismatch -> mismatch > 0))) {
            section.plot(Figures.overIterations(runs, "Log-prob mismatch", Axis.linear("rollout against trainer"), "mismatch", "mean"),
                null);
        }
    }

    private void speculation(Page page) {
        Page.Section section = page.section("Speculation and speed");
        section.plot(Figures.overIterations(runs, "Accept length", Axis.linear("tokens per request and step"), "accept_length"),
            "Mean over the steps that speculated, bonus token included; 1 where none did.");
        section.plot(Figures.overIterations(runs, "Rollout speed", Axis.fromZero("tokens/s"), "tokens_per_second"), null);
        section.plot(Figures.speedByLive(runs, loads), "Prefill is not in it.");
        section.plot(Figures.overIterations(runs, "Error of predicted step times", Axis.percent("mean error of late"), "cost_error"), null);
        section.plot(Figures.overIterations(runs, "Error of predicted tokens", Axis.percent("mean error of late"), "tokens_error"), null);
        if (runs.size() == 1) {
            RunRecord run = runs.getFirst();
            section.plot(Figures.section(run, "Accept length by reward", Axis.linear("tokens per request and step"), "accept_by_reward",
                band -> "reward: " + band), "Whether the drafter serves the responses that matter.");
        }
    }

    private void details(Page page, RunRecord run, StepLoad load, RunFigures f) {
        boolean one = runs.size() == 1;
        Page.Section plans = page.section(one ? "Plans and load" : "Run " + run.name());
        plans.plot(Figures.plansByIteration(run), "DEPTHxBRANCHxTOKENS; the most frequent plans, the rest as other.");
        plans.plot(Figures.plansByLive(load), null);
        plans.plot(Figures.effort(run, load), "0 is off; blank where no step had so many live requests.");
        plans(plans, load);
        if (load.lives().size() == 1) {
            plans.notes.add("Every step had " + StepLoad.name(load.lives().getFirst()) + (load.lives().getFirst() == 1 ? " live request"
                : " live requests") + ", so there is no load to set the plans against.");
        }
        Page.Section time = one ? page.section("Time and utilisation") : plans;
        time.plot(Figures.timeByIteration(run), Figures.binning(run));
        time.plot(Figures.section(run, "Host processors", Axis.share("processor time used"), "host_load", stage -> stage),
            "Share of all processors' time that this process used in each stage.");
        time.plot(Figures.section(run, "Device used by others", Axis.share("share of the device"), "utilization", who -> who),
            "What the plan solver took others, the drafter's learner among them, to use in rollouts: mean over decode steps.");
        Page.Section tail = one ? page.section("Tail of lengths") : plans;
        if (Double.isFinite(f.tailSeconds()) && load.lives().size() > 1) {
            String sentence = Numbers.percent(f.tailSeconds()) + " of the time of all decode steps went to steps with at most "
                + f.tailLive() + (f.tailLive() == 1 ? " live request" : " live requests") + ", which gained "
                + Numbers.percent(f.tailTokens()) + " of the tokens.";
            if (one) {
                tail.lead = sentence;
            } else {
                tail.notes.add(sentence);
            }
        }
        if (one) {
            tail.plot(Figures.histogram(run), null);
        }
        tail.plot(Figures.tail(load), null);
        tail.plot(Figures.lengthsByIteration(run), null);
        Map<String, String> config = ConfigDifferences.flat(run.config());
        if (!config.isEmpty()) {
            tail.fold(one ? "The whole config" : "The whole config of " + run.name(), config);
        }
    }

    private static void plans(Page.Section section, StepLoad load) {
        if (load.isEmpty()) {
            return;
        }
        List<StepGroup> all = load.all();
        double steps = StepLoad.sum(all, StepGroup::steps);
        double seconds = StepLoad.sum(all, StepGroup::seconds);
        Page.Table table = section.table(Arrays.asList("plan", "steps", "share of steps", "share of decode time", "live requests, mean",
            "tokens per request and step", "tokens/s", "time per step"));
        List<String> names = load.plans(StepGroup::seconds);
        for (String name : names.subList(0, Math.min(MOST_PLANS, names.size()))) {
            plan(table, name, all.stream().filter(group -> group.plan().equals(name)).toList(), steps, seconds);
        }
        if (names.size() > MOST_PLANS) {
            List<String> rest = names.subList(MOST_PLANS, names.size());
            plan(table, rest.size() + " others", all.stream().filter(group -> rest.contains(group.plan())).toList(), steps, seconds);
        }
    }

    private static void plan(Page.Table table, String name, List<StepGroup> groups, double allSteps, double allSeconds) {
        double steps = StepLoad.sum(groups, StepGroup::steps);
        double requests = StepLoad.sum(groups, StepGroup::requestSteps);
        double tokens = StepLoad.sum(groups, StepGroup::tokens);
        double seconds = StepLoad.sum(groups, StepGroup::seconds);
        table.row(name, List.of(Numbers.count(steps), Numbers.percent(steps / allSteps), Numbers.percent(seconds / allSeconds),
            Numbers.decimals(requests / steps, 1), Numbers.decimals(tokens / requests, 2), Numbers.speed(tokens / seconds),
            Numbers.seconds(seconds / steps)));
    }
}
