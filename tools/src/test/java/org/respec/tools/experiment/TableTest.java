package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class TableTest {
    @Test
    void spreads() {
        Spread spread = Spread.of(4, 1, 2, 9);
        assertEquals(new Spread(4, 1, 3, 9, 4, Math.sqrt(38.0 / 3)), spread);
        assertEquals("3.000 (1.000-9.000)", spread.toString());
        assertEquals(2, Spread.of(3, 1, 2).median());
        assertEquals("7.000", Spread.of(7).toString());
        assertThrows(IllegalArgumentException.class, Spread::of);
    }

    @Test
    void columnsLineUp() {
        Table table = new Table("t", "What", "plan", "speed");
        table.add("off", 12345.6);
        table.add("adaptive", Spread.of(1));
        assertEquals("""
            What
              plan      speed
              off       12346
              adaptive  1.000
            """, table.text());
        assertThrows(IllegalArgumentException.class, () -> table.add("one cell"));
    }

    @Test
    void claimsSayWhetherTheyHold() {
        assertTrue(Claim.atLeast("a", 0.98, 0.98).holds());
        assertFalse(Claim.atLeast("a", 0.97, 0.98).holds());
        assertFalse(Claim.atMost("a", 0.2, 0.1).holds());
        // What was not measured holds nothing.
        assertFalse(Claim.atLeast("a", Double.NaN, 0.98).holds());
        assertFalse(Claim.atMost("a", Double.NaN, 0.1).holds());
        assertEquals("a: 0.970 (bar 0.980): does NOT hold", Claim.atLeast("a", 0.97, 0.98).sentence());
    }
}
