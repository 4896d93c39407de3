#compdef -p docker
# zsh completion for gangway's options in
#
#     docker network create -d gangway -o NAME=VALUE
#
# Every other word is left to docker's own completion, before which zsh asks this one
# (-p). The names and values are those of the command gangway, so they are never out of
# date. Belongs into a folder of $fpath, with the name _gangway_docker.

local -i n
local driver line name
local -a names values

n=${words[(i)network]}
(( n < CURRENT )) && [[ $words[n+1] == create ]] || return 1
for n in {1..$#words}; do
	case $words[n] in
	-d | --driver) driver=$words[n+1] ;;
	-d=* | --driver=*) driver=${words[n]#*=} ;;
	esac
done
[[ $driver == *gangway* ]] || return 1
case $words[CURRENT] in
--opt=* | -o=*) compset -P 1 '*=' ;;
*) [[ $words[CURRENT-1] == (-o|--opt) ]] || return 1 ;;
esac

_compskip=all
for line in ${(f)"$(gangway options --words --network 2>/dev/null)"}; do
	name=${line%% *}
	names+=($name)
	[[ $PREFIX == $name=* ]] && values=(${=line#$name})
done
if [[ $PREFIX == *=* ]]; then
	compset -P 1 '*='
	compadd -a values
else
	compadd -S = -a names
fi
