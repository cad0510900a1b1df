package org.respec.engine.sampling;

import java.util.ArrayList;
import java.util.List;

/**
 * An ordered tree: node 0 is the root, parents come before children, siblings in order of rank.
 *
 * @param parents parent of each node, -1 for the root
 */
record TreeShape(int[] parents) {
    /** Every ordered tree of this many nodes. */
    static List<TreeShape> all(int nodes) {
        List<TreeShape> shapes = new ArrayList<>();
        grow(new int[] {-1}, nodes, shapes);
        return shapes;
    }

    /** In preorder a new last node hangs from a node of the last one's path to the root, so that each shape comes up once. */
    private static void grow(int[] parents, int nodes, List<TreeShape> shapes) {
        if (parents.length == nodes) {
            shapes.add(new TreeShape(parents));
            return;
        }
        for (int parent = parents.length - 1; parent >= 0; parent = parents[parent]) {
            int[] grown = java.util.Arrays.copyOf(parents, parents.length + 1);
            grown[parents.length] = parent;
            grow(grown, nodes, shapes);
        }
    }

    int nodes() {
        return parents.length;
    }

    int depth(int node) {
        return node == 0 ? 0 : 1 + depth(parents[node]);
    }

    int depth() {
        int deepest = 0;
        for (int node = 0; node < parents.length; node++) {
            deepest = Math.max(deepest, depth(node));
        }
        return deepest;
    }

    List<Integer> children(int node) {
        List<Integer> children = new ArrayList<>();
        for (int child = node + 1; child < parents.length; child++) {
            if (parents[child] == node) {
                children.add(child);
            }
        }
        return children;
    }

    int widest() {
        int widest = 0;
        for (int node = 0; node < parents.length; node++) {
            widest = Math.max(widest, children(node).size());
        }
        return widest;
    }
}
