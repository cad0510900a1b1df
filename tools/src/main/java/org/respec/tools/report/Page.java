package org.respec.tools.report;

import com.github.mustachejava.DefaultMustacheFactory;
import com.github.mustachejava.Mustache;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A page as its template sees it. Text is escaped by the template; plots come as SVG of our own. */
final class Page {
    private static final String TEMPLATE = "org/respec/tools/report/page.mustache";
    private static final int WIDTH = 580;
    private static final int HEIGHT = 300;

    String title;
    String about;
    final List<String> alarms = new ArrayList<>();
    private final List<Card> cards = new ArrayList<>();
    private final List<Section> sections = new ArrayList<>();
    private int drawn;

    record Card(String label, String value, String detail) {
    }

    record Row(String name, List<String> cells) {
    }

    record Drawn(String title, String svg, String caption) {
    }

    record Folded(String title, List<Row> rows) {
    }

    record Colour(String variable, String light, String dark) {
    }

    record Table(List<String> head, List<Row> rows) {
        void row(String name, List<String> cells) {
            rows.add(new Row(name, cells));
        }
    }

    /** A heading and what is under it. */
    final class Section {
        final String title;
        String lead;
        /** Whether its tables are best read at less than the page's width. */
        boolean narrow;
        final List<Table> tables = new ArrayList<>();
        final List<Drawn> plots = new ArrayList<>();
        final List<String> notes = new ArrayList<>();
        final List<Folded> folded = new ArrayList<>();

        private Section(String title) {
            this.title = title;
        }

        Table table(List<String> head) {
            Table table = new Table(head, new ArrayList<>());
            tables.add(table);
            return table;
        }

        /** Adds a plot unless it is null. */
        void plot(Plot plot, String caption) {
            if (plot != null) {
                plots.add(new Drawn(plot.title(), PlotWriter.svg(plot, WIDTH, HEIGHT, "plot" + ++drawn),
                    caption == null || caption.isEmpty() ? null : caption));
            }
        }

        void fold(String name, Map<String, String> values) {
            folded.add(new Folded(name, values.entrySet().stream().map(e -> new Row(e.getKey(), List.of(e.getValue()))).toList()));
        }

        /** Asked by the template alone. */
        boolean hasPlots() {
            return !plots.isEmpty();
        }

        private boolean isEmpty() {
            return lead == null && tables.isEmpty() && plots.isEmpty() && notes.isEmpty() && folded.isEmpty();
        }
    }

    void card(String label, String value, String detail) {
        cards.add(new Card(label, value, detail));
    }

    Section section(String heading) {
        Section section = new Section(heading);
        sections.add(section);
        return section;
    }

    String render(String made) {
        Map<String, Object> view = new HashMap<>();
        view.put("title", title);
        view.put("about", about);
        view.put("made", made);
        view.put("alarms", alarms);
        view.put("cards", cards);
        view.put("hasCards", !cards.isEmpty());
        view.put("sections", sections.stream().filter(section -> !section.isEmpty()).toList());
        view.put("colours", Palette.roles().stream()
            .map(role -> new Colour(role.variable(), PlotWriter.hex(role.light()), PlotWriter.hex(role.dark()))).toList());
        Mustache template = new DefaultMustacheFactory().compile(TEMPLATE);
        try {
            StringWriter text = new StringWriter();
            template.execute(text, view).flush();
            return text.toString();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
