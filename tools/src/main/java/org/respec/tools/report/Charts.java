package org.respec.tools.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Shape;
import java.awt.geom.Ellipse2D;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.text.DecimalFormat;
import java.text.DecimalFormatSymbols;
import java.text.NumberFormat;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.jfree.chart.JFreeChart;
import org.jfree.chart.axis.AxisLocation;
import org.jfree.chart.axis.CategoryAxis;
import org.jfree.chart.axis.CategoryLabelPositions;
import org.jfree.chart.axis.LogAxis;
import org.jfree.chart.axis.NumberAxis;
import org.jfree.chart.axis.NumberTickUnit;
import org.jfree.chart.axis.SymbolAxis;
import org.jfree.chart.axis.ValueAxis;
import org.jfree.chart.block.BlockBorder;
import org.jfree.chart.labels.StandardCategoryItemLabelGenerator;
import org.jfree.chart.plot.CategoryPlot;
import org.jfree.chart.plot.ValueMarker;
import org.jfree.chart.plot.XYPlot;
import org.jfree.chart.renderer.PaintScale;
import org.jfree.chart.renderer.category.BarRenderer;
import org.jfree.chart.renderer.category.CategoryItemRenderer;
import org.jfree.chart.renderer.category.StackedBarRenderer;
import org.jfree.chart.renderer.category.StandardBarPainter;
import org.jfree.chart.renderer.category.StatisticalBarRenderer;
import org.jfree.chart.renderer.xy.DeviationRenderer;
import org.jfree.chart.renderer.xy.StackedXYBarRenderer;
import org.jfree.chart.renderer.xy.StandardXYBarPainter;
import org.jfree.chart.renderer.xy.XYBlockRenderer;
import org.jfree.chart.title.LegendTitle;
import org.jfree.chart.title.PaintScaleLegend;
import org.jfree.chart.ui.RectangleEdge;
import org.jfree.chart.ui.RectangleInsets;
import org.jfree.data.category.CategoryDataset;
import org.jfree.data.category.DefaultCategoryDataset;
import org.jfree.data.statistics.DefaultStatisticalCategoryDataset;
import org.jfree.data.xy.CategoryTableXYDataset;
import org.jfree.data.xy.DefaultXYZDataset;
import org.jfree.data.xy.YIntervalSeries;
import org.jfree.data.xy.YIntervalSeriesCollection;

/** Turns plots into JFreeChart's charts, all in one look. */
final class Charts {
    private static final Font SMALL = new Font(Font.SANS_SERIF, Font.PLAIN, 11);
    private static final Font LABEL = new Font(Font.SANS_SERIF, Font.PLAIN, 12);
    private static final Font TITLE = new Font(Font.SANS_SERIF, Font.BOLD, 14);
    /** Lines of at most so many points also mark each of them. */
    private static final int MARKED_POINTS = 24;
    /** Bars of at most so many values also say each of them. */
    private static final int LABELLED_BARS = 8;
    private static final int BAND_ALPHA = 48;
    private static final Shape[] MARKS = {
        new Ellipse2D.Double(-3, -3, 6, 6), new Rectangle2D.Double(-2.6, -2.6, 5.2, 5.2), polygon(0, -3.6, 3.4, 2.8, -3.4, 2.8),
        polygon(0, -3.8, 3.8, 0, 0, 3.8, -3.8, 0), polygon(0, 3.6, 3.4, -2.8, -3.4, -2.8)};

    private Charts() {
    }

    static JFreeChart of(Plot plot, boolean titled) {
        org.jfree.chart.plot.Plot drawn;
        int names;
        switch (plot) {
            case Plot.Lines lines -> {
                drawn = lines(lines);
                names = lines.series().size();
            }
            case Plot.Bars bars -> {
                drawn = bars(bars);
                names = bars.layers().size();
            }
            case Plot.Stack stack -> {
                drawn = stack(stack);
                names = stack.layers().size();
            }
            case Plot.Strip strip -> {
                drawn = strip(strip);
                names = strip.layers().size();
            }
            case Plot.Heat heat -> {
                drawn = heat(heat);
                names = 0;
            }
        }
        drawn.setBackgroundPaint(null);
        drawn.setOutlineVisible(false);
        JFreeChart chart = new JFreeChart(titled ? plot.title() : null, TITLE, drawn, false);
        chart.setBackgroundPaint(null);
        chart.setPadding(new RectangleInsets(6, 4, 4, 10));
        if (titled) {
            chart.getTitle().setPaint(Palette.TEXT);
        }
        if (names > 1) {
            LegendTitle legend = new LegendTitle(drawn);
            legend.setItemFont(SMALL);
            legend.setItemPaint(Palette.TEXT);
            legend.setItemLabelPadding(new RectangleInsets(2, 4, 2, 12));
            legend.setBackgroundPaint(null);
            legend.setFrame(BlockBorder.NONE);
            legend.setPosition(RectangleEdge.TOP);
            chart.addLegend(legend);
        }
        if (plot instanceof Plot.Heat heat) {
            chart.addSubtitle(scale(heat));
        }
        return chart;
    }

    // ------------------------------------------------------------------------------------------------------------ plots

    private static XYPlot lines(Plot.Lines lines) {
        YIntervalSeriesCollection data = new YIntervalSeriesCollection();
        DeviationRenderer renderer = new DeviationRenderer(true, true);
        renderer.setAlpha(1f);
        for (int s = 0; s < lines.series().size(); s++) {
            Series series = lines.series().get(s);
            YIntervalSeries points = new YIntervalSeries(series.name());
            for (int i = 0; i < series.x().length; i++) {
                double x = series.x()[i];
                double y = series.y()[i];
                if (Double.isFinite(x) && Double.isFinite(y) && (lines.x().scale() != Axis.Scale.LOG2 || x > 0)) {
                    points.add(x, y, end(series.low(), i, y), end(series.high(), i, y));
                }
            }
            data.addSeries(points);
            Color colour = Palette.of(series.name(), s);
            renderer.setSeriesPaint(s, colour);
            renderer.setSeriesFillPaint(s, new Color(colour.getRed(), colour.getGreen(), colour.getBlue(), BAND_ALPHA));
            renderer.setSeriesStroke(s, stroke(s));
            renderer.setSeriesShape(s, MARKS[s % MARKS.length]);
            renderer.setSeriesShapesVisible(s, points.getItemCount() <= MARKED_POINTS);
        }
        XYPlot plot = new XYPlot(data, axis(lines.x()), axis(lines.y()), renderer);
        grid(plot);
        spread(plot.getRangeAxis());
        if (Double.isFinite(lines.reference())) {
            plot.addRangeMarker(reference(lines.reference()));
            include(plot.getRangeAxis(), lines.reference());
        }
        return plot;
    }

    private static CategoryPlot bars(Plot.Bars bars) {
        boolean spread = bars.layers().stream().anyMatch(layer -> layer.spread() != null);
        BarRenderer renderer = spread ? new StatisticalBarRenderer() : new BarRenderer();
        if (renderer instanceof StatisticalBarRenderer errors) {
            errors.setErrorIndicatorPaint(Palette.TEXT);
            errors.setErrorIndicatorStroke(new BasicStroke(1.2f));
        }
        renderer.setItemMargin(0.05);
        if (bars.places().size() * bars.layers().size() <= LABELLED_BARS && !spread) {
            renderer.setDefaultItemLabelGenerator(new StandardCategoryItemLabelGenerator("{2}", shortNumber(bars.y())));
            renderer.setDefaultItemLabelsVisible(true);
            renderer.setDefaultItemLabelFont(SMALL);
            renderer.setDefaultItemLabelPaint(Palette.TEXT);
        }
        CategoryPlot plot = categories(spread ? statistics(bars) : values(bars.places(), bars.layers()), bars.x(), bars.y(),
            bars.places(), renderer, bars.layers());
        if (bars.y().scale() != Axis.Scale.SHARE) {
            // Room for the numbers on the bars.
            plot.getRangeAxis().setUpperMargin(0.12);
        }
        if (Double.isFinite(bars.reference())) {
            plot.addRangeMarker(reference(bars.reference()));
            include(plot.getRangeAxis(), bars.reference());
        }
        return plot;
    }

    private static CategoryPlot stack(Plot.Stack stack) {
        return categories(values(stack.places(), stack.layers()), stack.x(), stack.y(), stack.places(), new StackedBarRenderer(),
            stack.layers());
    }

    private static CategoryPlot categories(CategoryDataset data, String x, Axis y, List<String> places, BarRenderer renderer,
                                           List<Plot.Layer> layers) {
        renderer.setBarPainter(new StandardBarPainter());
        renderer.setShadowVisible(false);
        renderer.setDrawBarOutline(false);
        renderer.setMaximumBarWidth(0.15);
        colours(renderer, layers);
        CategoryAxis domain = new CategoryAxis(x);
        domain.setCategoryMargin(0.25);
        domain.setLowerMargin(0.02);
        domain.setUpperMargin(0.02);
        domain.setMaximumCategoryLabelLines(2);
        if (places.stream().mapToInt(String::length).sum() > 90) {
            domain.setCategoryLabelPositions(CategoryLabelPositions.UP_45);
        }
        style(domain);
        CategoryPlot plot = new CategoryPlot(data, domain, axis(y), renderer);
        plot.setRangeGridlinePaint(Palette.GRID);
        plot.setRangeGridlineStroke(new BasicStroke(1f));
        plot.setAxisOffset(RectangleInsets.ZERO_INSETS);
        return plot;
    }

    private static XYPlot strip(Plot.Strip strip) {
        CategoryTableXYDataset data = new CategoryTableXYDataset();
        for (Plot.Layer layer : strip.layers()) {
            for (int i = 0; i < strip.at().length; i++) {
                data.add(strip.at()[i], finite(layer.values()[i]), layer.name());
            }
        }
        data.setAutoWidth(true);
        StackedXYBarRenderer renderer = new StackedXYBarRenderer(0.08);
        renderer.setBarPainter(new StandardXYBarPainter());
        renderer.setShadowVisible(false);
        renderer.setDrawBarOutline(false);
        for (int s = 0; s < strip.layers().size(); s++) {
            renderer.setSeriesPaint(s, Palette.of(strip.layers().get(s).name(), s));
        }
        ValueAxis domain = axis(strip.x());
        domain.setLowerMargin(0.005);
        domain.setUpperMargin(0.005);
        XYPlot plot = new XYPlot(data, domain, axis(strip.y()), renderer);
        grid(plot);
        return plot;
    }

    private static XYPlot heat(Plot.Heat heat) {
        int columns = heat.columns().length;
        double[][] points = new double[3][columns * heat.rows().size()];
        int at = 0;
        for (int r = 0; r < heat.rows().size(); r++) {
            for (int c = 0; c < columns; c++) {
                if (Double.isFinite(heat.cells()[r][c])) {
                    points[0][at] = heat.columns()[c];
                    points[1][at] = r;
                    points[2][at] = heat.cells()[r][c];
                    at++;
                }
            }
        }
        for (int i = 0; i < points.length; i++) {
            points[i] = Arrays.copyOf(points[i], at);
        }
        DefaultXYZDataset data = new DefaultXYZDataset();
        data.addSeries(heat.scale().label(), points);
        XYBlockRenderer renderer = new XYBlockRenderer();
        renderer.setPaintScale(new Ramp(0, top(heat)));
        SymbolAxis range = new SymbolAxis(heat.y(), heat.rows().toArray(String[]::new));
        range.setGridBandsVisible(false);
        style(range);
        ValueAxis domain = axis(heat.x());
        domain.setLowerMargin(0);
        domain.setUpperMargin(0);
        XYPlot plot = new XYPlot(data, domain, range, renderer);
        plot.setDomainGridlinesVisible(false);
        plot.setRangeGridlinesVisible(false);
        plot.setAxisOffset(RectangleInsets.ZERO_INSETS);
        return plot;
    }

    private static PaintScaleLegend scale(Plot.Heat heat) {
        NumberAxis axis = new NumberAxis(heat.scale().label());
        style(axis);
        axis.setRange(0, top(heat));
        PaintScaleLegend legend = new PaintScaleLegend(new Ramp(0, top(heat)), axis);
        legend.setPosition(RectangleEdge.RIGHT);
        legend.setAxisLocation(AxisLocation.BOTTOM_OR_RIGHT);
        legend.setBackgroundPaint(null);
        legend.setStripOutlineVisible(false);
        legend.setMargin(new RectangleInsets(10, 12, 30, 4));
        return legend;
    }

    private record Ramp(double getLowerBound, double getUpperBound) implements PaintScale {
        @Override
        public Color getPaint(double value) {
            return Palette.heat((value - getLowerBound) / (getUpperBound - getLowerBound));
        }
    }

    // ------------------------------------------------------------------------------------------------------------- parts

    private static double top(Plot.Heat heat) {
        return Math.max(1e-9, Arrays.stream(heat.cells()).flatMapToDouble(Arrays::stream).filter(Double::isFinite).max().orElse(1));
    }

    private static double end(double[] ends, int index, double otherwise) {
        return ends == null || !Double.isFinite(ends[index]) ? otherwise : ends[index];
    }

    private static double finite(double value) {
        return Double.isFinite(value) ? value : 0;
    }

    private static DefaultCategoryDataset values(List<String> places, List<Plot.Layer> layers) {
        DefaultCategoryDataset data = new DefaultCategoryDataset();
        for (Plot.Layer layer : layers) {
            for (int i = 0; i < places.size(); i++) {
                data.addValue(Double.isFinite(layer.values()[i]) ? (Double) layer.values()[i] : null, layer.name(), places.get(i));
            }
        }
        return data;
    }

    private static DefaultStatisticalCategoryDataset statistics(Plot.Bars bars) {
        DefaultStatisticalCategoryDataset data = new DefaultStatisticalCategoryDataset();
        for (Plot.Layer layer : bars.layers()) {
            for (int i = 0; i < bars.places().size(); i++) {
                if (Double.isFinite(layer.values()[i])) {
                    data.add(layer.values()[i], layer.spread() == null ? 0 : finite(layer.spread()[i]), layer.name(), bars.places().get(i));
                }
            }
        }
        return data;
    }

    private static void colours(CategoryItemRenderer renderer, List<Plot.Layer> layers) {
        for (int s = 0; s < layers.size(); s++) {
            renderer.setSeriesPaint(s, Palette.of(layers.get(s).name(), s));
        }
    }

    /** Solid for the first round of colours, dashed for the next ones, so that no two lines look alike. */
    private static BasicStroke stroke(int series) {
        return series < Palette.size() ? new BasicStroke(2f, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND)
            : new BasicStroke(2f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 1f, new float[] {6f, 4f}, 0f);
    }

    private static ValueMarker reference(double value) {
        return new ValueMarker(value, Palette.MUTED, new BasicStroke(1.2f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_MITER, 1f,
            new float[] {5f, 4f}, 0f));
    }

    /** Gives a level line room above and below, or its ticks would differ by less than they show. */
    private static void spread(ValueAxis axis) {
        double middle = axis.getRange().getCentralValue();
        if (axis.isAutoRange() && axis.getRange().getLength() < 1e-6 * Math.max(1e-12, Math.abs(middle))) {
            double room = middle == 0 ? 1 : Math.abs(middle) / 10;
            axis.setRange(middle - room, middle + room);
        }
    }

    private static void include(ValueAxis axis, double value) {
        if (!axis.getRange().contains(value)) {
            axis.setRange(org.jfree.data.Range.expandToInclude(axis.getRange(), value));
        }
    }

    private static ValueAxis axis(Axis axis) {
        ValueAxis made = switch (axis.scale()) {
            case LOG2 -> log2(axis.label());
            case WHOLE -> whole(axis.label());
            case PERCENT -> percent(axis.label());
            case SHARE -> {
                NumberAxis share = percent(axis.label());
                share.setRange(0, 1);
                share.setTickUnit(new NumberTickUnit(0.2));
                yield share;
            }
            case LINEAR -> straight(axis.label(), false);
            case FROM_ZERO -> straight(axis.label(), true);
        };
        style(made);
        return made;
    }

    private static LogAxis log2(String label) {
        LogAxis log = new LogAxis(label);
        log.setBase(2);
        log.setSmallestValue(0x1p-20);
        log.setTickUnit(new NumberTickUnit(1));
        log.setNumberFormatOverride(number("#,##0.####"));
        return log;
    }

    private static NumberAxis straight(String label, boolean zero) {
        NumberAxis axis = new NumberAxis(label);
        axis.setAutoRangeIncludesZero(zero);
        axis.setStandardTickUnits(NumberAxis.createStandardTickUnits(Locale.ROOT));
        return axis;
    }

    private static NumberAxis whole(String label) {
        NumberAxis axis = new NumberAxis(label);
        axis.setAutoRangeIncludesZero(false);
        axis.setStandardTickUnits(NumberAxis.createIntegerTickUnits(Locale.ROOT));
        return axis;
    }

    private static NumberAxis percent(String label) {
        NumberAxis axis = straight(label, false);
        axis.setNumberFormatOverride(number("0.# %"));
        return axis;
    }

    private static void style(org.jfree.chart.axis.Axis axis) {
        axis.setLabelFont(LABEL);
        axis.setLabelPaint(Palette.TEXT);
        axis.setTickLabelFont(SMALL);
        axis.setTickLabelPaint(Palette.MUTED);
        axis.setAxisLinePaint(Palette.MUTED);
        axis.setTickMarkPaint(Palette.MUTED);
        // Ticks stand as far apart as their labels and this.
        axis.setTickLabelInsets(new RectangleInsets(5, 4, 5, 4));
    }

    private static void grid(XYPlot plot) {
        plot.setDomainGridlinesVisible(false);
        plot.setRangeGridlinePaint(Palette.GRID);
        plot.setRangeGridlineStroke(new BasicStroke(1f));
        plot.setRangeZeroBaselineVisible(false);
        plot.setAxisOffset(RectangleInsets.ZERO_INSETS);
    }

    private static NumberFormat shortNumber(Axis axis) {
        return switch (axis.scale()) {
            case PERCENT, SHARE -> number("0.# %");
            case WHOLE -> number("#,##0");
            default -> number("#,##0.##");
        };
    }

    private static DecimalFormat number(String pattern) {
        return new DecimalFormat(pattern, DecimalFormatSymbols.getInstance(Locale.ROOT));
    }

    private static Shape polygon(double... corners) {
        Path2D path = new Path2D.Double();
        path.moveTo(corners[0], corners[1]);
        for (int i = 2; i < corners.length; i += 2) {
            path.lineTo(corners[i], corners[i + 1]);
        }
        path.closePath();
        return path;
    }
}
