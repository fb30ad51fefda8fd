<?php
// The methods of one class, read without running its file: {"method": [["parameter", has a default], …]} as JSON.
list(, $file, $class) = $argv;
$tokens = array_values(array_filter(PhpToken::tokenize(file_get_contents($file)), function ($token) {
    return !$token->isIgnorable();
}));
$found = array();
$depth = 0;
$inside = null;
for ($at = 0; $at < count($tokens); $at++) {
    $token = $tokens[$at];
    if ($token->is(array('{', T_CURLY_OPEN, T_DOLLAR_OPEN_CURLY_BRACES))) {
        $depth++;
    } elseif ($token->is('}')) {
        $depth--;
        $inside = $inside !== null && $depth <= $inside ? null : $inside;
    } elseif ($inside === null && $token->is(T_CLASS) && $tokens[$at + 1]->text === $class) {
        $inside = $depth;
    } elseif ($inside !== null && $depth === $inside + 1 && $token->is(T_FUNCTION) && $tokens[$at + 1]->is(T_STRING)) {
        $parameters = array();
        for ($deep = 0, $next = $at + 2; $deep !== 1 || !$tokens[$next]->is(')'); $next++) {
            $deep += $tokens[$next]->is(array('(', '[')) ? 1 : ($tokens[$next]->is(array(')', ']')) ? -1 : 0);
            if ($deep === 1 && $tokens[$next]->is(T_VARIABLE)) {
                $parameters[] = array($tokens[$next]->text, $tokens[$next + 1]->is('='));
            }
        }
        $found[$tokens[$at + 1]->text] = $parameters;
    }
}
echo json_encode($found), "\n";
