package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Rows under named columns; a cell is text, a number, a truth or a {@link Spread}. Columns' names are also the keys in JSON. */
public final class Table {
    private final String name;
    private final String title;
    private final List<String> columns;
    private final List<List<Object>> rows = new ArrayList<>();

    /** An empty table; {@code name} is its key in JSON. */
    public Table(String name, String title, String... columns) {
        this.name = name;
        this.title = title;
        this.columns = List.of(columns);
    }

    /** Adds a row. */
    public void add(Object... cells) {
        if (cells.length != columns.size()) {
            throw new IllegalArgumentException(name + ": a row of " + cells.length + " cells under " + columns.size() + " columns");
        }
        rows.add(List.of(cells));
    }

    String name() {
        return name;
    }

    List<String> columns() {
        return columns;
    }

    List<List<Object>> rows() {
        return rows;
    }

    /** Four digits that count. */
    static String number(double value) {
        double size = Math.abs(value);
        int decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
        return String.format(Locale.ROOT, "%." + decimals + "f", value);
    }

    private static String text(Object cell) {
        return cell instanceof Double value ? number(value) : cell.toString();
    }

    /** The table as lines of text: words to the left, the rest to the right. */
    String text() {
        int[] widths = new int[columns.size()];
        for (int c = 0; c < widths.length; c++) {
            widths[c] = columns.get(c).length();
            for (List<Object> row : rows) {
                widths[c] = Math.max(widths[c], text(row.get(c)).length());
            }
        }
        StringBuilder out = new StringBuilder(title).append('\n');
        line(out, columns, widths, null);
        for (List<Object> row : rows) {
            line(out, row.stream().map(Table::text).toList(), widths, row);
        }
        return out.toString();
    }

    private void line(StringBuilder out, List<String> cells, int[] widths, List<Object> values) {
        StringBuilder line = new StringBuilder();
        for (int c = 0; c < widths.length; c++) {
            List<Object> kind = values != null ? values : rows.isEmpty() ? null : rows.getFirst();
            boolean left = kind != null && kind.get(c) instanceof String;
            line.append("  ").append(String.format(Locale.ROOT, "%" + (left ? "-" : "") + widths[c] + "s", cells.get(c)));
        }
        out.append(line.toString().stripTrailing()).append('\n');
    }
}
