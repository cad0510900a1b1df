package org.respec.tools.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.StringReader;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

class PlotWriterTest {
    private static final double[] X = {1, 2, 4, 8};
    private static final double[] Y = {0.5, Double.NaN, 0.75, 1};

    private static List<Plot> plots() {
        List<String> places = List.of("<1>", "2", "3-4", "5-8");
        List<Plot.Layer> layers = List.of(new Plot.Layer("off & on", Y), new Plot.Layer("4x2x8", X));
        return List.of(
            new Plot.Lines("lines", Axis.log2("live requests"), Axis.linear("tokens/s"),
                List.of(Series.of("a", X, Y), new Series("b", X, X, Y, X)), 1),
            new Plot.Lines("nothing", Axis.whole("iteration"), Axis.percent("reward"), List.of()),
            new Plot.Lines("no numbers", Axis.whole("iteration"), Axis.fromZero("s"),
                List.of(Series.of("a", new double[] {1}, new double[] {Double.NaN}))),
            new Plot.Bars("bars", "place", Axis.fromZero("s"), places, layers),
            new Plot.Bars("spread", "place", Axis.fromZero("s"), places, List.of(new Plot.Layer("a", Y, X)), 1),
            new Plot.Stack("stack", "place", Axis.share("share"), places, layers),
            new Plot.Strip("strip", Axis.whole("iteration"), Axis.fromZero("s"), X, layers),
            new Plot.Strip("empty strip", Axis.whole("iteration"), Axis.fromZero("s"), new double[0], List.of()),
            new Plot.Heat("heat", Axis.whole("iteration"), "live", X, places, new double[][] {X, Y, X, Y}, Axis.fromZero("tokens")),
            new Plot.Heat("empty heat", Axis.whole("iteration"), "live", new double[0], List.of(), new double[0][],
                Axis.fromZero("tokens")));
    }

    @Test
    void everyPlotIsDrawnAsPngOfTwicePoints() throws Exception {
        for (Plot plot : plots()) {
            BufferedImage image = ImageIO.read(new ByteArrayInputStream(PlotWriter.png(plot, 320, 200)));
            assertEquals(640, image.getWidth(), plot.title());
            assertEquals(400, image.getHeight(), plot.title());
            Set<Integer> colours = new HashSet<>();
            for (int y = 0; y < 400; y += 2) {
                for (int x = 0; x < 640; x += 2) {
                    colours.add(image.getRGB(x, y));
                }
            }
            assertTrue(colours.size() > 3, plot.title() + " is blank");
        }
    }

    @Test
    void svgIsWellFormedAndItsTextIsText() throws Exception {
        Document svg = parse(PlotWriter.svg(plots().get(3), 320, 200, "p1"));
        NodeList texts = svg.getElementsByTagName("text");
        Set<String> words = new HashSet<>();
        for (int i = 0; i < texts.getLength(); i++) {
            words.add(texts.item(i).getTextContent());
        }
        assertTrue(words.containsAll(Set.of("off & on", "4x2x8", "<1>", "3-4", "place", "s")), words.toString());
        assertEquals("0 0 320 200", svg.getDocumentElement().getAttribute("viewBox"));
        for (Plot plot : plots()) {
            parse(PlotWriter.svg(plot, 320, 200, "p2"));
        }
    }

    @Test
    void svgTakesItsColoursFromThePageAndKeepsItsIdsApart() {
        String svg = PlotWriter.svg(plots().get(0), 320, 200, "p7");
        assertTrue(svg.contains("var(--plot-1,#0072b2)"), svg);
        assertTrue(svg.contains("var(--plot-text,"), svg);
        assertFalse(svg.contains("rgb(0,114,178)"), svg);
        assertFalse(svg.contains("id=\"clip"), svg);
    }

    @Test
    void rolesHaveColoursOfTheirOwn() {
        Set<Object> colours = new HashSet<>();
        for (Palette.Role role : Palette.roles()) {
            assertTrue(colours.add(role.light()), role.variable() + " looks like another role, so that a page could not tell them apart");
        }
    }

    @Test
    void unequalLengthsAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> Series.of("a", X, new double[3]));
        assertThrows(IllegalArgumentException.class, () -> new Series("a", X, Y, X, null));
        assertThrows(IllegalArgumentException.class,
            () -> new Plot.Bars("t", "x", Axis.linear("y"), List.of("a"), List.of(new Plot.Layer("l", X))));
        assertThrows(IllegalArgumentException.class,
            () -> new Plot.Heat("t", Axis.linear("x"), "y", X, List.of("a"), new double[][] {new double[2]}, Axis.linear("z")));
    }

    private static Document parse(String svg) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(svg)));
    }
}
