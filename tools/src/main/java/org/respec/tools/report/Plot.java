package org.respec.tools.report;

import java.util.List;

/** What a plot shows, as data alone; {@link PlotWriter} draws it. */
public sealed interface Plot {
    /** Over the plot. */
    String title();

    /**
     * Lines over a number, each with a band where it has a spread.
     *
     * @param reference a level drawn as a dashed line (1 for "as fast as off"), or NaN for none
     */
    record Lines(String title, Axis x, Axis y, List<Series> series, double reference) implements Plot {
        public Lines(String title, Axis x, Axis y, List<Series> series) {
            this(title, x, y, series, Double.NaN);
        }
    }

    /**
     * Bars side by side over named places, one colour for each layer.
     *
     * @param reference see {@link Lines}
     */
    record Bars(String title, String x, Axis y, List<String> places, List<Layer> layers, double reference) implements Plot {
        public Bars {
            Layer.check(title, layers, places.size());
        }

        public Bars(String title, String x, Axis y, List<String> places, List<Layer> layers) {
            this(title, x, y, places, layers, Double.NaN);
        }
    }

    /** Bars over named places, the layers on top of each other. */
    record Stack(String title, String x, Axis y, List<String> places, List<Layer> layers) implements Plot {
        public Stack {
            Layer.check(title, layers, places.size());
        }
    }

    /** Bars over a number (iterations, for instance), the layers on top of each other; for as many bars as there are. */
    record Strip(String title, Axis x, Axis y, double[] at, List<Layer> layers) implements Plot {
        public Strip {
            Layer.check(title, layers, at.length);
        }
    }

    /**
     * A field of coloured cells.
     *
     * @param columns where each column is
     * @param rows names of the rows, lowest first
     * @param cells {@code [row][column]}; NaN leaves a cell empty
     * @param scale what the colours stand for
     */
    record Heat(String title, Axis x, String y, double[] columns, List<String> rows, double[][] cells, Axis scale) implements Plot {
        public Heat {
            if (cells.length != rows.size()) {
                throw new IllegalArgumentException(title + ": " + cells.length + " rows of cells for " + rows.size() + " names");
            }
            for (double[] row : cells) {
                if (row.length != columns.length) {
                    throw new IllegalArgumentException(title + ": a row of " + row.length + " cells for " + columns.length + " columns");
                }
            }
        }
    }

    /**
     * Values of one colour, one for each place; NaN leaves a place empty.
     *
     * @param spread standard deviation around each value (drawn by {@link Bars}), or null for none
     */
    record Layer(String name, double[] values, double[] spread) {
        public Layer(String name, double[] values) {
            this(name, values, null);
        }

        static void check(String title, List<Layer> layers, int places) {
            for (Layer layer : layers) {
                if (layer.values.length != places || layer.spread != null && layer.spread.length != places) {
                    throw new IllegalArgumentException(title + ": layer " + layer.name + " does not have " + places + " values");
                }
            }
        }
    }
}
